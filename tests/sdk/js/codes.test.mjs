// How connections are ended by the server, and what the SDK makes of each code.

import {
  PASSWORD, PATIENCE, assert, bare, bareAs, connect, events, newClient, newNode, newProxy, node, offsetIn, range, reach, signUp,
  subscribe, test, until, upgrade,
} from './world.mjs';

/// Ended for good: the SDK says so and does not try again.
async function stays(client, code, reason) {
  const ended = await client.log.next('disconnected');
  assert.deepEqual([ended.code, ended.reason], [code, reason]);
  assert.equal(client.state, 'disconnected');
  assert.equal(client.tap.sockets.length, 1, 'no second try');
}

test('signed out elsewhere: 4501, for ever', async t => {
  const person = await signUp();
  const other = await person.again();
  const [one, two, third] = [await connect(t, person), await connect(t, person), await connect(t, other)];
  const sub = await subscribe(one, person.channel);
  const { items } = await other.get('/sessions');
  const { id } = items.find(({ current }) => !current);
  await other.delete(`/sessions/${id}`);
  await Promise.all([stays(one, 4501, 'signed out'), stays(two, 4501, 'signed out')]);
  assert.equal(sub.state, 'subscribing', 'it would go on with another sign-in');
  assert.equal(third.state, 'connected');
  one.connect();
  assert.equal((await one.log.next('disconnected')).code, 101);
  one.setToken(other.token);
  one.connect();
  await sub.ready();
});

test('password changed: 4502 for the others, the one that changed it stays', async t => {
  const person = await signUp();
  const other = await person.again();
  const [mine, theirs] = [await connect(t, person), await connect(t, other)];
  const sub = await subscribe(mine, person.channel);
  await person.post('/me/password', { current_password: PASSWORD, new_password: 'another horse battery' });
  await stays(theirs, 4502, 'password changed');
  const ended = await sub.log.next('publication');
  assert.deepEqual([ended.data.type, ended.data.data.reason], ['session.ended', 'password_changed']);
  assert.equal(mine.state, 'connected');
});

test('the account is disabled: 4503', async t => {
  const person = await signUp();
  const client = await connect(t, person);
  const [{ id }] = await node.sql(`select id from sign_ins where user_id = '${person.id}'`);
  // As an operator's tool does it: the event and the rows, in one transaction, on no node of ours.
  await node.execute(`
    with head as (update channel_heads set head = head + 1 where channel = '${person.channel}' returning head),
    first as (insert into channel_heads (channel, head) select '${person.channel}', 1 where not exists (select from head) returning head),
    off as (update credentials set disabled_at = now() where user_id = '${person.id}'),
    ended as (update sign_ins set ended_at = now(), end_reason = 'disabled' where user_id = '${person.id}')
    insert into events (channel, "offset", type, data)
    select '${person.channel}', head, 'session.ended', '{"session_ids":["${id}"],"reason":"disabled"}'
    from (select head from head union all select head from first) h`);
  await stays(client, 4503, 'account disabled');
  client.connect();
  assert.equal((await client.log.next('disconnected')).code, 101);
});

test('a node that drains: 3001, and on with the next one, nothing missed', async t => {
  const old = await newNode();
  const successor = await newNode({ beside: old });
  const proxy = await newProxy(old);
  const person = await signUp(old);
  const list = await person.newList();
  const clients = await Promise.all(range(1, 30).map(() => connect(t, person, { url: proxy.url })));
  const subs = await Promise.all(clients.map(client => subscribe(client, person.channel)));
  const before = subs.map(sub => sub.log.all('subscribed')[0].streamPosition.offset);
  await proxy.leadTo(successor);
  // A node that goes away takes no commands any more.
  person.url = successor.url;
  const drained = old.drain();
  const last = [];
  for (const number of range(1, 20)) last.push(offsetIn(await person.newTask(list, `task ${number}`), person.channel));
  await drained;
  for (const [index, client] of clients.entries()) {
    const { code, reason } = await client.log.next('connecting', event => event.code > 0);
    assert.deepEqual([code, reason], [3001, 'shutdown']);
    await client.ready(PATIENCE);
    await reach(subs[index], last.at(-1));
    assert.deepEqual(events(subs[index]).map(({ offset }) => offset), range(before[index] + 1, last.at(-1)));
    assert.equal(client.log.count('disconnected'), 0);
  }
  assert.equal((await old.counts()).sockets, 0);
  const refusal = await upgrade(old.url);
  assert.equal(refusal.status, 503);
  assert.ok(Number(refusal.headers['retry-after']) > 0);
});

test('frames that cannot be answered: 3501', async t => {
  const person = await signUp();
  for (const frame of [
    'not json', '', '[]', '5', 'null', '"text"', '{"id":1', '{"id":0,"ping":{}}', '{"id":-1,"ping":{}}', '{"rpc":{"method":"x"}}',
    JSON.stringify({ id: 9, connect: { token: person.token } }), '{"id":2,"ping":{}}\n', '{"id":2,"ping":{}}\n\n{"id":3,"ping":{}}',
  ]) {
    const connection = await bareAs(t, person);
    connection.send(frame);
    assert.deepEqual(await connection.closed, { code: 3501, reason: 'bad request' }, frame);
  }
});

test('frames that are too big or not text: 1009, 1003', async t => {
  const person = await signUp();
  const fits = await bareAs(t, person);
  const padded = bytes => JSON.stringify({ id: 2, rpc: { method: 'no.such', data: { text: 'x'.repeat(bytes) } } });
  assert.equal((await fits.ask(JSON.parse(padded(256 * 1024 - 100)))).error.code, 104);
  fits.send(padded(256 * 1024));
  assert.equal((await fits.closed).code, 1009);
  const binary = await bareAs(t, person);
  binary.socket.send(Buffer.from('{"id":2,"ping":{}}'), { binary: true });
  assert.equal((await binary.closed).code, 1003);
});

test('well-formed commands with bad content: 107 or the like, and on it goes', async t => {
  const person = await signUp();
  const connection = await bareAs(t, person);
  const odd = [
    [{ subscribe: { channel: 5 } }, 107], [{ subscribe: {} }, 102], [{ subscribe: { channel: person.channel, offset: -1 } }, 107],
    [{ publish: { channel: person.channel } }, 107], [{ rpc: {} }, 104], [{ rpc: [] }, 107], [{ unknown: {} }, 107], [{ presence: { channel: 'x' } }, 102],
    [{ history: { channel: person.channel } }, 103], [{ refresh: {} }, 101], [{ refresh: { token: 5 } }, 107], [{ ping: 'x' }, null],
  ];
  let id = 10;
  for (const [command, code] of odd) {
    id += 1;
    const reply = await connection.ask({ id, ...command });
    if (code) assert.equal(reply.error?.code, code, JSON.stringify([command, reply]));
    if (reply.error) assert.ok(reply.error.message.length > 0);
  }
  assert.deepEqual((await connection.ask({ id: 99, ping: {} })).ping, {});
});

test('whoever hurries is not told off: pongs nobody asked for, standard pings', async t => {
  const person = await signUp();
  const connection = await bareAs(t, person);
  for (let count = 0; count < 20; count += 1) connection.send('{}');
  const pong = new Promise(resolve => connection.socket.once('pong', resolve));
  connection.socket.ping('here?');
  assert.equal((await pong).toString(), 'here?');
  assert.deepEqual((await connection.ask({ id: 2, ping: {} })).ping, {});
});

test('a refusal of connect drops the rest of its frame', async t => {
  const person = await signUp();
  const connection = await bare(t);
  connection.send([
    JSON.stringify({ id: 1, connect: { token: 'nonsense' } }), JSON.stringify({ id: 2, subscribe: { channel: person.channel } }),
    JSON.stringify({ id: 3, rpc: { method: 'task_list.create', data: { name: 'no' } } }),
  ].join('\n'));
  assert.equal((await connection.reply(1)).error.code, 101);
  const { connect: connected } = await connection.ask({ id: 4, connect: { token: person.token } });
  assert.equal(connected.data.user_id, person.id, 'the next try on the same socket counts');
  await connection.ask({ id: 5, ping: {} });
  assert.deepEqual(connection.lines.map(({ id }) => id), [1, 4, 5]);
  assert.deepEqual(await node.sql(`select 1 from task_lists where user_id = '${person.id}'`), []);
});

test('a client that is refused leaves nothing behind', async t => {
  const before = (await node.counts()).sockets;
  const clients = range(1, 20).map(() => newClient(t, null, { token: 'nonsense' }));
  clients.forEach(client => client.connect());
  await Promise.all(clients.map(client => stays(client, 101, 'unauthorized')));
  await until('their sockets are gone', async () => (await node.counts()).sockets <= before);
});
