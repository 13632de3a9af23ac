// From the first load to the live stream: getState, and the positions of REST answers, while changes go on.

import {
  assert, connect, events, newClient, newProxy, newSub, node, offsetIn, randomUUID, range, reach, roomOf, signUp, subscribe, test, until,
} from './world.mjs';

const here = (positions, channel) => positions.find(position => position.channel === channel);

/// A getState for `path` that counts, and keeps what it loaded.
function loader(person, path, channel) {
  const load = async () => {
    load.count += 1;
    load.state = await person.get(path);
    return here(load.state.positions, channel);
  };
  load.count = 0;
  return load;
}

test('getState: first, not on a good recovery, again when the position is gone', async t => {
  const person = await signUp();
  const list = await person.newList();
  const client = await connect(t, person);
  const getState = loader(person, '/dashboard', person.channel);
  const sub = await subscribe(client, person.channel, { getState });
  assert.equal(getState.count, 1);
  assert.equal(sub.log.all('subscribed')[0].recovered, true);

  client.disconnect();
  const missed = offsetIn(await person.newTask(list, 'missed'), person.channel);
  client.connect();
  await reach(sub, missed);
  assert.equal(getState.count, 1, 'recovered without loading');

  client.disconnect();
  for (const name of ['one', 'two', 'three']) await person.newTask(list, name);
  await node.trim(person.channel, missed + 3);
  client.connect();
  await sub.log.next('subscribed', ({ streamPosition }) => streamPosition.offset === missed + 3);
  assert.equal(getState.count, 2);
  assert.equal(getState.state.tasks.length, 4);
  assert.deepEqual(sub.log.all('error'), [], 'without a word to the app');
  assert.ok(client.tap.received.some(frame => frame.includes('"code":112')), 'the server refused');
  const next = offsetIn(await person.newTask(list, 'next'), person.channel);
  await reach(sub, next);
  assert.deepEqual(events(sub).map(({ offset }) => offset), [missed, next]);
});

test('a position of getState that is gone before it is used', async t => {
  const person = await signUp();
  const list = await person.newList();
  const client = await connect(t, person);
  const load = loader(person, '/dashboard', person.channel);
  const getState = async () => {
    const position = await load();
    if (load.count > 2) return position;
    const head = offsetIn(await person.newTask(list, `during load ${load.count}`), person.channel);
    await node.trim(person.channel, head + 1);
    return position;
  };
  const sub = await subscribe(client, person.channel, { getState });
  assert.equal(load.count, 3);
  assert.equal(load.state.tasks.length, 2);
  assert.deepEqual(events(sub), []);
});

test('getState that fails is called again', async t => {
  const person = await signUp();
  const client = await connect(t, person);
  const load = loader(person, '/dashboard', person.channel);
  let calls = 0;
  const getState = async () => {
    calls += 1;
    if (calls < 3) throw new Error('the page did not load');
    return load();
  };
  const sub = await subscribe(client, person.channel, { getState });
  assert.equal(calls, 3);
  const errors = sub.log.all('error').map(({ type, error }) => [type, error.code]);
  assert.deepEqual(errors, [['subscribe', 13], ['subscribe', 13]]);
  assert.equal(client.log.count('connecting'), 1);
});

test('a connection lost during getState', async t => {
  const person = await signUp();
  const list = await person.newList();
  const proxy = await newProxy();
  const client = await connect(t, person, { url: proxy.url });
  const load = loader(person, '/dashboard', person.channel);
  const getState = async () => {
    const position = await load();
    await proxy.cut();
    await client.log.next('connecting', ({ code }) => code === 1);
    await person.newTask(list, 'meanwhile');
    return position;
  };
  const sub = newSub(client, person.channel, { getState });
  sub.subscribe();
  const first = await sub.log.next('publication');
  assert.equal(first.data.data.description, 'meanwhile');
  assert.equal(load.count, 1);
});

/// What a room is after its events.
function applyToRoom(room, { type, data }) {
  const put = (rows, row) => [...rows.filter(({ id }) => id !== row.id), row];
  if (type === 'widget.created' || type === 'widget.updated') room.widgets = put(room.widgets, data);
  else if (type === 'widget.moved') room.widgets = put(room.widgets, data.widget);
  else if (type === 'widget.deleted') room.widgets = room.widgets.filter(({ id }) => id !== data.id);
  else if (type === 'workspace.updated') room.workspace = data;
  else assert.fail(`unexpected ${type}`);
}

const byId = rows => [...rows].sort((a, b) => a.id.localeCompare(b.id));

test('a room that is loaded while it changes: no gap, no duplicate', async t => {
  const person = await signUp();
  const room = await roomOf(person);
  const widgets = await Promise.all(range(1, 5).map(() => person.newWidget(room)));
  const maker = await connect(t, person);
  let going = true;
  let changes = 0;
  const change = async () => {
    while (going) {
      changes += 1;
      const step = changes % 1_000;
      const { id } = widgets[changes % 5];
      if (changes % 4 === 0) await maker.rpc('widget.update', { id, title: `title ${changes}` });
      else if (changes % 11 === 0) await maker.rpc('workspace.update', { id: room.id, name: `name ${changes}` });
      else await maker.rpc('widget.move', { id, grid_x: step, grid_y: changes % 7 });
    }
  };
  const changing = Promise.all([change(), change(), change()]);
  const readers = [];
  for (let round = 0; round < 20; round += 1) {
    const client = await connect(t, person);
    const getState = loader(person, `/workspaces/${room.id}`, room.channel);
    const sub = await subscribe(client, room.channel, { getState });
    readers.push({ sub, getState });
    for (let seen = 0; seen < 5; seen += 1) await sub.log.next('publication');
  }
  going = false;
  await changing;
  const last = offsetIn(await person.patch(`/workspaces/${room.id}`, { name: 'the end' }), room.channel);
  const truth = await person.get(`/workspaces/${room.id}`);
  assert.equal(here(truth.positions, room.channel).offset, last);
  for (const { sub, getState } of readers) {
    await reach(sub, last);
    const { offset } = here(getState.state.positions, room.channel);
    assert.deepEqual(events(sub).map(event => event.offset), range(offset + 1, last));
    events(sub).forEach(({ data }) => applyToRoom(getState.state, data));
    assert.deepEqual(getState.state.workspace, truth.workspace);
    assert.deepEqual(byId(getState.state.widgets), byId(truth.widgets));
    assert.equal(getState.count, 1);
  }
  t.diagnostic(`${readers.length} readers over ${changes} changes`);
});

test('a home page that is loaded while it changes: every channel of it from one snapshot', async t => {
  const person = await signUp();
  const list = await person.newList();
  const rooms = [await roomOf(person), await roomOf(person)];
  let going = true;
  const changing = (async () => {
    for (let step = 0; going; step += 1) {
      const { data: task } = await person.newTask(list, `task ${step}`);
      if (step % 2) await person.patch(`/tasks/${task.id}`, { is_completed: true });
      if (step % 3 === 0) await person.delete(`/tasks/${task.id}`);
      if (step % 5 === 0) await person.patch(`/workspaces/${rooms[step % 2].id}`, { name: `name ${step}` });
    }
  })();
  const readers = [];
  for (let round = 0; round < 8; round += 1) {
    const client = newClient(t, person);
    const page = await person.get('/dashboard');
    // One answer serves all channels of the page, in one frame.
    const subs = page.positions.map(position => newSub(client, position.channel, { since: position }));
    subs.forEach(sub => sub.subscribe());
    client.connect();
    await Promise.all(subs.map(sub => sub.ready()));
    assert.ok(subs.every(sub => sub.log.all('subscribed')[0].recovered));
    readers.push({ page, subs });
  }
  going = false;
  await changing;
  const truth = await person.get('/dashboard');
  for (const { page, subs } of readers) {
    assert.equal(subs.length, 4);
    const tasks = new Map(page.tasks.map(task => [task.id, task]));
    const names = new Map(page.workspaces.map(({ id, name }) => [id, name]));
    for (const sub of subs) {
      const [from, to] = [here(page.positions, sub.channel).offset, here(truth.positions, sub.channel).offset];
      if (to > from) await reach(sub, to);
      assert.deepEqual(events(sub).map(({ offset }) => offset), range(from + 1, to));
      for (const { data: { type, data } } of events(sub)) {
        if (type === 'task.deleted') tasks.delete(data.id);
        else if (type.startsWith('task.')) tasks.set(data.id, data);
        else names.set(data.id, data.name);
      }
    }
    assert.deepEqual(byId([...tasks.values()]), byId(truth.tasks));
    assert.deepEqual(names, new Map(truth.workspaces.map(({ id, name }) => [id, name])));
  }
});

test('the same operation twice is one change', async t => {
  const person = await signUp();
  const list = await person.newList();
  const client = await connect(t, person);
  const sub = await subscribe(client, person.channel);
  const op = randomUUID();
  const command = { op, list_id: list.id, description: 'once' };
  const [first, second] = await Promise.all([client.rpc('task.create', command), client.rpc('task.create', command)]);
  assert.deepEqual(first.data, second.data);
  const offset = offsetIn(first.data, person.channel);
  const after = offsetIn((await client.rpc('task.create', { list_id: list.id, description: 'after' })).data, person.channel);
  await reach(sub, after);
  assert.deepEqual(events(sub).map(event => event.offset), [offset, after]);
  assert.equal(events(sub)[0].data.op, op);
  await until('the row is there', async () => (await node.sql(`select 1 from tasks where list_id = '${list.id}'`)).length === 2);
});
