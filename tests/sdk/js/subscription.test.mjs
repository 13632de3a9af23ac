// Subscribing and unsubscribing, in every order, and what is refused.

import { randomUUID } from 'node:crypto';
import {
  assert, bareAs, connect, events, newClient, newProxy, newSub, node, offsetIn, range, reach, refused, roomOf, signUp, subscribe,
  test, until,
} from './world.mjs';

test('subscribe and unsubscribe in a loop', async t => {
  const person = await signUp();
  const list = await person.newList();
  const client = await connect(t, person);
  const sub = newSub(client, person.channel);
  const numbers = [];
  for (let round = 0; round < 20; round += 1) {
    sub.subscribe();
    await sub.log.next('subscribed');
    const offset = offsetIn(await person.newTask(list, `round ${round}`), person.channel);
    numbers.push(offset);
    await reach(sub, offset);
    sub.unsubscribe();
    assert.equal((await sub.log.next('unsubscribed')).code, 0);
  }
  assert.deepEqual(events(sub).map(({ offset }) => offset), numbers);
  assert.equal(client.log.count('connecting'), 1, 'over one connection');
});

test('subscribe and unsubscribe without waiting', async t => {
  const person = await signUp();
  const list = await person.newList();
  const client = await connect(t, person);
  const sub = newSub(client, person.channel);
  for (let round = 0; round < 50; round += 1) {
    sub.subscribe();
    if (round % 3 === 0) await Promise.resolve();
    if (round % 7 === 0) await new Promise(setImmediate);
    sub.unsubscribe();
  }
  sub.subscribe();
  await sub.ready();
  const offset = offsetIn(await person.newTask(list, 'after all that'), person.channel);
  await reach(sub, offset);
  assert.equal(events(sub).filter(event => event.offset === offset).length, 1);
  const errors = [...sub.log.all('error'), ...client.log.all('error')];
  assert.deepEqual(errors, []);
  assert.equal(client.log.count('connecting'), 1);
});

test('unsubscribe between the connect command and its reply', async t => {
  const person = await signUp();
  const list = await person.newList();
  const proxy = await newProxy();
  const client = newClient(t, person, { url: proxy.url });
  const sub = newSub(client, person.channel);
  await proxy.mute();
  sub.subscribe();
  client.connect();
  await until('the connect frame is sent', () => client.tap.sent.length === 1);
  assert.equal(client.tap.sent[0].split('\n').length, 2, 'with the subscribe in it');
  sub.unsubscribe();
  assert.equal(client.state, 'connecting');
  await proxy.open();
  await client.ready();
  assert.equal(sub.state, 'unsubscribed');
  await person.newTask(list, 'nobody hears');
  sub.subscribe();
  await sub.ready();
  const second = await person.newTask(list, 'somebody hears');
  await reach(sub, offsetIn(second, person.channel));
  assert.deepEqual(events(sub).map(({ offset }) => offset), [offsetIn(second, person.channel)], 'there was no position yet');
  assert.equal(client.log.count('connecting'), 1, 'the connection was not given up');
});

test('unsubscribe before the reply to subscribe, and subscribe again', async t => {
  const person = await signUp();
  const list = await person.newList();
  const proxy = await newProxy();
  const client = await connect(t, person, { url: proxy.url });
  const sub = newSub(client, person.channel);
  await proxy.hold();
  sub.subscribe();
  sub.unsubscribe();
  sub.subscribe();
  sub.unsubscribe();
  sub.subscribe();
  await proxy.open();
  await sub.ready();
  const { positions } = await person.newTask(list, 'here');
  await reach(sub, positions[0].offset);
  assert.deepEqual(events(sub).map(({ offset }) => offset), [positions[0].offset]);
  assert.equal(sub.log.count('subscribed'), 1);
});

test('200 subscriptions on one connection, each gets its own and recovers its own', async t => {
  const person = await signUp();
  const proxy = await newProxy();
  const maker = await connect(t, person);
  const rooms = [];
  for (const some of [range(1, 100), range(101, 200)]) {
    maker.startBatching();
    const made = some.map(number => maker.rpc('workspace.create', { name: `room ${number}` }, {}));
    maker.stopBatching();
    rooms.push(...(await Promise.all(made)).map(({ data }) => data));
  }
  const client = newClient(t, person, { url: proxy.url });
  const subs = rooms.map(({ data, positions }) => {
    const { offset, epoch } = positions.find(({ channel }) => channel === `workspace:${data.id}`);
    return newSub(client, `workspace:${data.id}`, { since: { offset, epoch } });
  });
  subs.forEach(sub => sub.subscribe());
  client.connect();
  await Promise.all(subs.map(sub => sub.ready(20_000)));
  assert.equal(client.tap.sent[0].split('\n').length, 201, 'connect and all subscribes in the first frame');
  assert.ok(subs.every(sub => sub.log.all('subscribed')[0].recovered));
  const rename = name => Promise.all(rooms.map(({ data }) => maker.rpc('workspace.update', { id: data.id, name })));
  await rename('once');
  await Promise.all(subs.map(sub => sub.log.next('publication')));
  await proxy.close();
  await client.log.next('connecting', ({ code }) => code !== 0);
  await rename('twice');
  await proxy.open();
  await Promise.all(subs.map(sub => sub.log.next('publication')));
  for (const sub of subs) {
    assert.deepEqual(events(sub).map(({ data }) => [data.type, data.data.name]), [['workspace.updated', 'once'], ['workspace.updated', 'twice']]);
    assert.deepEqual(events(sub).map(({ offset }) => offset), [3, 4]);
    assert.ok(sub.log.all('subscribed').at(-1).recovered);
  }
  assert.equal(client.tap.sent.filter(frame => frame.includes('"connect"')).at(-1).split('\n').length, 201);
});

test('512 channels per connection, and not one more', async t => {
  const person = await signUp();
  await node.execute(`insert into users (id, username) select gen_random_uuid(), '${person.username}-' || i from generate_series(1, 513) i`);
  const crowd = await node.sql(`select id from users where username like '${person.username}-%'`);
  const client = newClient(t, person);
  const subs = crowd.map(({ id }) => newSub(client, `profile:${id}`));
  subs.forEach(sub => sub.subscribe());
  client.connect();
  const [last, ...others] = [...subs].reverse();
  await Promise.all(others.map(sub => sub.log.next('subscribed')));
  const { code, reason } = await last.log.next('unsubscribed');
  assert.deepEqual([code, reason], [106, 'limit_exceeded']);
  others[0].unsubscribe();
  last.subscribe();
  await last.log.next('subscribed');
});

test('a token getter and a data getter of a subscription that fail are asked again', async t => {
  const person = await signUp();
  const list = await person.newList();
  const client = await connect(t, person);
  const failing = answer => {
    let asked = 0;
    return async () => {
      asked += 1;
      if (asked < 3) throw new Error('not now');
      return answer;
    };
  };
  const sub = newSub(client, person.channel, { getToken: failing('token'), getData: failing({ page: 1 }) });
  sub.subscribe();
  await sub.log.next('subscribed');
  const types = sub.log.all('error').map(({ type }) => type);
  assert.deepEqual(types, ['subscribeToken', 'subscribeToken', 'subscribeData', 'subscribeData']);
  const { positions } = await person.newTask(list, 'here');
  await reach(sub, positions[0].offset);
});

test('channels that are not for me', async t => {
  const [person, other] = [await signUp(), await signUp()];
  const room = await roomOf(other);
  const open = await roomOf(other, { guests: true });
  const client = await connect(t, person);
  for (const [channel, code, reason] of [
    [other.channel, 103, 'permission_denied'],
    [room.channel, 102, 'unknown_channel'],
    [`workspace:${randomUUID()}`, 102, 'unknown_channel'],
    [`profile:${randomUUID()}`, 102, 'unknown_channel'],
    ['news', 102, 'unknown_channel'],
    [person.channel.toUpperCase(), 102, 'unknown_channel'],
  ]) {
    const sub = newSub(client, channel);
    sub.subscribe();
    const refusal = await sub.log.next('unsubscribed');
    assert.deepEqual([refusal.code, refusal.reason], [code, reason], channel);
  }
  await subscribe(client, open.channel);
  await subscribe(client, `profile:${other.id}`);
  assert.equal(client.log.count('connecting'), 1);
});

test('what the protocol has and this server has not', async t => {
  const person = await signUp();
  const list = await person.newList();
  const client = await connect(t, person);
  const map = client.newMapSubscription(person.channel);
  const ended = new Promise(resolve => map.on('unsubscribed', resolve));
  map.subscribe();
  assert.equal((await ended).code, 108);
  client.removeSubscription(map);
  const filtered = newSub(client, `profile:${person.id}`, { tagsFilter: { key: 'a', cmp: 'eq', val: 'b' } });
  filtered.subscribe();
  assert.equal((await filtered.log.next('unsubscribed')).code, 107);
  // Delta is asked for and simply not confirmed.
  const delta = await subscribe(client, person.channel, { delta: 'fossil' });
  const { positions } = await person.newTask(list, 'whole');
  assert.equal((await reach(delta, positions[0].offset)).data.data.description, 'whole');
});

test('subscribing twice, and leaving what one is not in', async t => {
  const person = await signUp();
  const connection = await bareAs(t, person);
  assert.ok((await connection.ask({ id: 2, subscribe: { channel: person.channel } })).subscribe);
  assert.equal((await connection.ask({ id: 3, subscribe: { channel: person.channel } })).error.code, 105);
  for (const id of [4, 5]) {
    assert.deepEqual((await connection.ask({ id, unsubscribe: { channel: person.channel } })).unsubscribe, {});
  }
  // In one frame: the second is the duplicate, whatever their answers wait for.
  connection.send([6, 7].map(id => JSON.stringify({ id, subscribe: { channel: person.channel } })).join('\n'));
  assert.ok((await connection.reply(6)).subscribe);
  assert.equal((await connection.reply(7)).error.code, 105);
});

test('put out of a room, and the room gone', async t => {
  const [owner, guest] = [await signUp(), await signUp()];
  const room = await roomOf(owner);
  await owner.letIn(room, guest);
  const [mine, theirs] = [await connect(t, owner), await connect(t, guest)];
  const [owned, entered] = [await subscribe(mine, room.channel), await subscribe(theirs, room.channel)];
  const removed = offsetIn(await owner.delete(`/workspaces/${room.id}/members/${guest.id}`), room.channel);
  const out = await entered.log.next('unsubscribed');
  assert.deepEqual([out.code, out.reason], [2101, 'removed from the room']);
  assert.ok(events(entered).every(({ offset }) => offset <= removed), 'nothing after the removal');
  entered.subscribe();
  assert.equal((await entered.log.next('unsubscribed')).code, 102);
  await reach(owned, removed);
  const gone = offsetIn(await owner.delete(`/workspaces/${room.id}`), room.channel);
  await reach(owned, gone);
  const deleted = await owned.log.next('unsubscribed');
  assert.deepEqual([deleted.code, deleted.reason], [2102, 'room deleted']);
  assert.equal((await refused(mine.publish(room.channel, { type: 'nudge' }))).code, 103);
  await subscribe(theirs, `profile:${owner.id}`);
});
