// Coming back: each row of the table of subscribe requests, by the SDK where it can ask, and what the app sees.

import {
  assert, bareAs, connect, events, newClient, newNode, newProxy, newSub, node, offsetIn, range, reach, roomOf, signUp, subscribe,
  test, until,
} from './world.mjs';

/// Makes `count` changes over REST, eight at a time, and returns what each number has to be.
async function change(person, list, count) {
  const expected = new Map();
  const left = range(1, count);
  const worker = async () => {
    for (let next = left.shift(); next; next = left.shift()) {
      const { positions, data } = await person.newTask(list, `task ${next}`);
      expected.set(positions[0].offset, data.id);
    }
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  return expected;
}

const numbers = sub => events(sub).map(({ offset }) => offset);

/// A person with a list, and where their channel stands.
async function someone(at = node) {
  const person = await signUp(at);
  const list = await person.newList();
  const { positions } = await person.get('/dashboard');
  return { person, list, position: positions.find(({ channel }) => channel === person.channel) };
}

test('without a position: the head, and live from there', async t => {
  const { person, list, position } = await someone();
  const sub = await subscribe(await connect(t, person), person.channel);
  const { wasRecovering, recovered, recoverable, positioned, streamPosition, hasRecoveredPublications } = sub.log.all('subscribed')[0];
  assert.deepEqual([wasRecovering, recovered, recoverable, positioned, hasRecoveredPublications], [false, false, true, true, false]);
  assert.deepEqual(streamPosition, { offset: position.offset, epoch: position.epoch });
  const { positions } = await person.newTask(list, 'next');
  assert.equal(positions[0].offset, position.offset + 1);
  await reach(sub, positions[0].offset);
});

test('200 changes while disconnected: exactly those, once, in order', async t => {
  const { person, list, position } = await someone();
  const client = await connect(t, person);
  const sub = await subscribe(client, person.channel);
  client.disconnect();
  const expected = await change(person, list, 200);
  client.connect();
  const last = await reach(sub, position.offset + 200);
  assert.equal(last.data.type, 'task.created');
  const { wasRecovering, recovered, streamPosition } = await sub.log.next('subscribed', event => event.wasRecovering);
  assert.deepEqual([wasRecovering, recovered], [true, true]);
  assert.equal(streamPosition.offset, position.offset, 'the position recovered from');
  const { positions } = await person.newTask(list, 'and on it goes');
  await reach(sub, positions[0].offset);
  assert.deepEqual(numbers(sub), range(position.offset + 1, position.offset + 201));
  for (const event of events(sub).slice(0, 200)) {
    assert.equal(event.data.data.id, expected.get(event.offset));
    assert.equal(event.data.actor, person.id);
  }
  const stored = await node.sql(`select count(*) from tasks where list_id = '${list.id}'`);
  t.diagnostic(`200 changes recovered out of ${stored[0].count} rows`);
});

test('a cut in the middle of a stream of changes', async t => {
  const { person, list, position } = await someone();
  const proxy = await newProxy();
  const client = await connect(t, person, { url: proxy.url });
  const sub = await subscribe(client, person.channel);
  const changes = change(person, list, 150);
  for (const reached of [20, 50, 90]) {
    await sub.log.next('publication', ({ offset }) => offset >= position.offset + reached);
    await proxy.cut();
    await client.log.next('connecting', ({ code }) => code === 1);
  }
  await changes;
  await reach(sub, position.offset + 150);
  assert.deepEqual(numbers(sub), range(position.offset + 1, position.offset + 150));
});

test('after unsubscribe and subscribe', async t => {
  const { person, list, position } = await someone();
  const sub = await subscribe(await connect(t, person), person.channel);
  sub.unsubscribe();
  await change(person, list, 40);
  sub.subscribe();
  await reach(sub, position.offset + 40);
  assert.equal(sub.log.all('subscribed').at(-1).recovered, true);
  assert.deepEqual(numbers(sub), range(position.offset + 1, position.offset + 40));
});

test('from the very beginning', async t => {
  const { person, position } = await someone();
  const sub = await subscribe(await connect(t, person), person.channel, { since: { offset: 0, epoch: position.epoch } });
  await reach(sub, position.offset);
  assert.deepEqual(numbers(sub), range(1, position.offset));
  assert.equal(sub.log.all('subscribed')[0].recovered, true);
});

test('a channel without a single event has a beginning too', async t => {
  const person = await signUp();
  const { positions } = await person.get('/dashboard');
  const position = positions.find(({ channel }) => channel === `profile:${person.id}`);
  assert.equal(position.offset, 0);
  const client = await connect(t, person);
  const sub = await subscribe(client, position.channel, { since: position });
  assert.deepEqual([sub.log.all('subscribed')[0].recovered, sub.log.all('subscribed')[0].streamPosition.offset], [true, 0]);
  await person.patch('/me', { bio: 'hello' });
  await reach(sub, 1);
});

test('nothing was missed', async t => {
  const { person, position } = await someone();
  const sub = await subscribe(await connect(t, person), person.channel, { since: position });
  const { recovered, hasRecoveredPublications, streamPosition } = sub.log.all('subscribed')[0];
  assert.deepEqual([recovered, hasRecoveredPublications, streamPosition.offset], [true, false, position.offset]);
});

test('a connection that is given up inside the subscribed handler loses nothing', async t => {
  const { person, list, position } = await someone();
  await change(person, list, 30);
  const client = newClient(t, person);
  const sub = newSub(client, person.channel, { since: position });
  sub.once('subscribed', () => {
    client.disconnect();
    client.connect();
  });
  sub.subscribe();
  client.connect();
  await reach(sub, position.offset + 30);
  assert.deepEqual(numbers(sub), range(position.offset + 1, position.offset + 30));
  assert.equal(sub.log.count('subscribed'), 2);
});

test('the oldest position that can be served, and the one before it', async t => {
  const { person, list, position } = await someone();
  await change(person, list, 10);
  await node.trim(person.channel, position.offset + 4);
  const client = await connect(t, person);
  const served = await subscribe(client, person.channel, { since: { ...position, offset: position.offset + 3 } });
  await reach(served, position.offset + 10);
  assert.deepEqual(numbers(served), range(position.offset + 4, position.offset + 10));
  const late = await subscribe(await connect(t, person), person.channel, { since: { ...position, offset: position.offset + 2 } });
  const { wasRecovering, recovered, streamPosition } = late.log.all('subscribed')[0];
  assert.deepEqual([wasRecovering, recovered, streamPosition.offset], [true, false, position.offset + 10]);
  await change(person, list, 1);
  await reach(late, position.offset + 11);
  assert.deepEqual(numbers(late), [position.offset + 11], 'no part of what cannot be had as a whole');
});

test('trimmed while away, without getState: told so, live from the head', async t => {
  const { person, list, position } = await someone();
  const client = await connect(t, person);
  const sub = await subscribe(client, person.channel);
  client.disconnect();
  await change(person, list, 12);
  await node.trim(person.channel, position.offset + 10);
  client.connect();
  const { recovered, streamPosition } = await sub.log.next('subscribed', ({ wasRecovering }) => wasRecovering);
  assert.deepEqual([recovered, streamPosition.offset], [false, position.offset + 12]);
  await change(person, list, 1);
  await reach(sub, position.offset + 13);
  assert.deepEqual(numbers(sub), [position.offset + 13]);
  assert.deepEqual(sub.log.all('error'), []);
});

test('positions that never were', async t => {
  const { person, position } = await someone();
  for (const since of [
    { ...position, offset: position.offset + 1 },
    { ...position, offset: 2 ** 53 - 1 },
    { ...position, epoch: 'another' },
    { ...position, epoch: '_' },
    { offset: 0, epoch: '_' },
    { offset: position.offset },
  ]) {
    const client = await connect(t, person);
    const sub = await subscribe(client, person.channel, { since });
    const { wasRecovering, recovered, streamPosition } = sub.log.all('subscribed')[0];
    assert.deepEqual([wasRecovering, recovered], [true, false], JSON.stringify(since));
    assert.deepEqual(streamPosition, { offset: position.offset, epoch: position.epoch });
    assert.deepEqual(numbers(sub), []);
    client.disconnect();
  }
});

test('each row of the table on the wire', async t => {
  const { person, list, position } = await someone();
  await change(person, list, 8);
  const [head, floor] = [position.offset + 8, position.offset + 3];
  await node.trim(person.channel, floor);
  const { epoch } = position;
  const rows = [
    [{}, { offset: head }],
    [{ flag: 3 }, { offset: head }],
    ...range(floor - 1, head).map(offset => [{ recover: true, offset, epoch }, { offset, was_recovering: true, recovered: true }]),
    [{ recover: true, offset: head, epoch, flag: 3 }, { offset: head, was_recovering: true, recovered: true }],
  ];
  const unrecoverable = [
    { offset: floor - 2, epoch }, { offset: head + 1, epoch }, { offset: head, epoch: '_' }, { offset: head }, { epoch },
  ];
  for (const position of unrecoverable) {
    rows.push([{ recover: true, ...position }, { offset: head, was_recovering: true }]);
    rows.push([{ recover: true, flag: 1, ...position }, { offset: head, was_recovering: true }]);
    rows.push([{ recover: true, flag: 2, ...position }, 112]);
    rows.push([{ recover: true, flag: 3, ...position }, 112]);
  }
  const connection = await bareAs(t, person);
  let id = 1;
  for (const [request, expected] of rows) {
    id += 1;
    const reply = await connection.ask({ id, subscribe: { channel: person.channel, ...request } });
    if (expected === 112) {
      assert.deepEqual(reply.error, { code: 112, message: 'unrecoverable_position' }, JSON.stringify(request));
      continue;
    }
    const { data, ...told } = reply.subscribe;
    assert.deepEqual(told, { recoverable: true, positioned: true, epoch, ...expected }, JSON.stringify(request));
    assert.ok(data, 'always something: SDKs hand on only what is there');
    id += 1;
    await connection.ask({ id, unsubscribe: { channel: person.channel } });
  }
});

test('another node has the same log', async t => {
  const { person, list, position } = await someone();
  const other = await newNode({ beside: node });
  const proxy = await newProxy();
  const client = await connect(t, person, { url: proxy.url });
  const sub = await subscribe(client, person.channel);
  await proxy.leadTo(other);
  await proxy.close();
  await change(person, list, 100);
  await proxy.open();
  await reach(sub, position.offset + 100);
  // The other node has to find these by itself.
  await change(person, list, 20);
  await reach(sub, position.offset + 120);
  assert.deepEqual(numbers(sub), range(position.offset + 1, position.offset + 120));
});

test('a restored database: every position is void', async t => {
  const at = await newNode();
  const { person, list } = await someone(at);
  const client = await connect(t, person);
  const plain = await subscribe(client, `profile:${person.id}`);
  let loads = 0;
  const getState = async () => {
    loads += 1;
    const { positions } = await person.get('/dashboard');
    return positions.find(({ channel }) => channel === person.channel);
  };
  const sub = await subscribe(client, person.channel, { getState });
  await at.execute("update log_epoch set epoch = 'restored'");
  // Whoever comes next brings the news of it.
  await subscribe(await connect(t, person), person.channel);
  assert.equal((await client.log.next('connecting', ({ code }) => code > 0)).code, 3010);
  await until('the state is loaded again', () => loads === 2);
  await sub.log.next('subscribed', ({ streamPosition }) => streamPosition.epoch === 'restored');
  assert.deepEqual(sub.log.all('error'), [], 'in silence');
  const { wasRecovering, recovered } = await plain.log.next('subscribed', ({ streamPosition }) => streamPosition.epoch === 'restored');
  assert.deepEqual([wasRecovering, recovered], [true, false]);
  const { positions } = await person.newTask(list, 'a new life');
  await reach(sub, positions[0].offset);
});

test('a backlog of many pages arrives whole, and pings are not behind it', async t => {
  const { person } = await someone();
  const room = await roomOf(person);
  const widget = await person.newWidget(room, { settings: { note: 'x'.repeat(8_000) } });
  const { positions } = await person.get(`/workspaces/${room.id}`);
  const maker = await connect(t, person);
  await Promise.all(range(1, 300).map(step => maker.rpc('widget.move', { id: widget.id, grid_x: step, grid_y: 0 })));
  const client = await connect(t, person);
  const sub = newSub(client, room.channel, { since: positions[0] });
  sub.subscribe();
  await reach(sub, positions[0].offset + 300);
  assert.deepEqual(numbers(sub), range(positions[0].offset + 1, positions[0].offset + 300));
  const sizes = client.tap.received.map(frame => Buffer.byteLength(frame));
  assert.ok(Math.max(...sizes) <= 64 * 1024, `frames of up to ${Math.max(...sizes)} bytes`);
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  assert.ok(bytes > 2_000_000);
  t.diagnostic(`300 events, ${bytes} bytes in ${sizes.length} frames`);
  assert.equal(offsetIn({ positions }, room.channel), positions[0].offset);
});
