// Connecting, by token, and what becomes of connections.

import {
  PATIENCE, WebSocket, assert, bare, bareAs, connect, endpoint, expire, messages, newClient, newProxy, node, reach, refused,
  signUp, subscribe, test, until,
} from './world.mjs';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

test('a connection knows who it is and what time it is', async t => {
  const person = await signUp();
  const client = await connect(t, person);
  const { data, client: id } = await client.log.next('connected');
  assert.equal(data.user_id, person.id);
  assert.ok(Math.abs(data.server_time - Date.now()) < 60_000, String(data.server_time));
  assert.match(id, UUID);
});

test('connect and disconnect in a loop', async t => {
  const person = await signUp();
  const client = newClient(t, person);
  const before = (await node.counts()).sockets;
  const ids = new Set();
  for (let round = 0; round < 30; round += 1) {
    client.connect();
    ids.add((await client.log.next('connected')).client);
    client.disconnect();
    assert.equal((await client.log.next('disconnected')).code, 0);
  }
  assert.equal(ids.size, 30);
  await until('all sockets are gone', async () => (await node.counts()).sockets <= before);
});

test('disconnect before the connection stands, in a loop', async t => {
  const person = await signUp();
  const client = newClient(t, person);
  const pause = [() => {}, () => Promise.resolve(), () => new Promise(setImmediate), () => until('open', () => client.tap.sockets.at(-1)?.readyState !== 0)];
  for (let round = 0; round < 40; round += 1) {
    client.connect();
    await pause[round % pause.length]();
    client.disconnect();
  }
  client.connect();
  await client.ready(PATIENCE);
  assert.equal(client.state, 'connected');
  const errors = client.log.all('error').map(({ error }) => error.code);
  assert.ok(errors.every(code => code < 100), `none of the server's: ${errors}`);
});

test('an rpc before the connection stands waits for it', async t => {
  const person = await signUp();
  const idle = newClient(t, person, { timeout: 200 });
  assert.equal((await refused(idle.rpc('task_list.create', { name: 'Early' }))).code, 1, 'nobody connects');
  const client = newClient(t, person);
  client.connect();
  const { data } = await client.rpc('task_list.create', { name: 'Today' });
  assert.equal(data.data.name, 'Today');
  const rows = await node.sql(`select name from task_lists where user_id = '${person.id}'`);
  assert.deepEqual(rows, [{ name: 'Today' }]);
});

test('a command before connect on the wire is the end', async t => {
  for (const frame of [
    { id: 1, rpc: { method: 'task_list.create', data: { name: 'no' } } },
    { id: 1, subscribe: { channel: 'user:x' } },
    { id: 1, ping: {} },
    {},
  ]) {
    const connection = await bare(t);
    connection.send(frame);
    assert.deepEqual(await connection.closed, { code: 3501, reason: 'bad request' }, JSON.stringify(frame));
    assert.deepEqual(connection.lines, []);
  }
});

test('a token getter that fails is asked again', async t => {
  const person = await signUp();
  let asked = 0;
  const getToken = async () => {
    asked += 1;
    if (asked < 3) throw new Error('the sign-in service is down');
    return person.token;
  };
  const client = await connect(t, null, { getToken });
  assert.equal(asked, 3);
  assert.equal((await client.log.next('connected')).data.user_id, person.id);
  assert.deepEqual(client.log.all('error').map(({ type }) => type), ['connectToken', 'connectToken']);
});

test('a data getter that fails is asked again', async t => {
  const person = await signUp();
  let asked = 0;
  const getData = async () => {
    asked += 1;
    if (asked < 3) throw new Error('not ready');
    return { page: 'home' };
  };
  const client = await connect(t, person, { getData });
  assert.equal(asked, 3);
  assert.deepEqual(client.log.all('error').map(({ type }) => type), ['connectData', 'connectData']);
});

test('bad credentials end it for ever', async t => {
  const person = await signUp();
  for (const token of ['nonsense', `shs_${'A'.repeat(43)}`, `${person.token}x`, '']) {
    const client = newClient(t, null, { token });
    client.connect();
    const { code, reason } = await client.log.next('disconnected');
    assert.deepEqual([code, reason], [101, 'unauthorized'], token);
    assert.equal(client.state, 'disconnected');
    assert.equal(client.tap.sockets.length, 1, 'one try');
  }
});

test('the token of an ended sign-in ends it for ever', async t => {
  const person = await signUp();
  const client = await connect(t, person);
  client.disconnect();
  await person.delete('/sessions/current');
  client.connect();
  assert.equal((await client.log.next('disconnected', ({ code }) => code !== 0)).code, 101);
  assert.equal(client.tap.sockets.length, 2);
});

test('an expired token is replaced by the getter', async t => {
  const person = await signUp();
  await expire(person);
  const fresh = await person.again();
  const client = await connect(t, person, { getToken: async () => fresh.token });
  assert.deepEqual(client.log.all('error').map(({ error }) => error.code), [109]);
  assert.equal((await client.log.next('connected')).data.user_id, person.id);
});

test('an expired token without a getter is the end', async t => {
  const person = await signUp();
  await expire(person);
  const client = newClient(t, person);
  client.connect();
  const { code, reason } = await client.log.next('disconnected');
  assert.deepEqual([code, reason], [1, 'unauthorized']);
  assert.ok(client.log.all('error').some(({ error }) => error.code === 109));
});

test('a sign-in that runs out while connected is replaced, and nothing is missed', async t => {
  const person = await signUp();
  await expire(person, node, "interval '2 seconds'");
  const list = await person.newList();
  const fresh = await person.again();
  const client = await connect(t, person, { getToken: async () => fresh.token });
  const sub = await subscribe(client, person.channel);
  const again = await client.log.next('connecting', ({ code }) => code === 3005);
  assert.equal(again.reason, 'connection expired');
  const { positions } = await fresh.newTask(list, 'meanwhile');
  await client.log.next('connected');
  await client.log.next('connected');
  await reach(sub, positions[0].offset);
  assert.equal((await sub.log.next('subscribed', ({ wasRecovering }) => wasRecovering)).recovered, true);
});

test('refresh moves a connection to another sign-in of the person', async t => {
  const person = await signUp();
  const other = await person.again();
  const stranger = await signUp();
  const connection = await bareAs(t, person);
  const { connect: connected } = connection.lines[0];
  assert.ok(!('expires' in connected) && !('ttl' in connected), 'long-lived tokens announce no end');
  const refreshed = await connection.ask({ id: 2, refresh: { token: other.token } });
  assert.equal(refreshed.refresh.client, connected.client);
  assert.equal((await connection.ask({ id: 3, refresh: { token: stranger.token } })).error.code, 101);
  assert.equal((await connection.ask({ id: 4, refresh: { token: 'nonsense' } })).error.code, 101);
  assert.equal((await connection.ask({ id: 5, sub_refresh: { channel: person.channel, token: 'x' } })).error.code, 108);
  // The old sign-in is none of its business any more; the new one is.
  await person.delete('/sessions/current');
  assert.deepEqual((await connection.ask({ id: 6, ping: {} })).ping, {});
  await other.delete('/sessions/current');
  assert.deepEqual(await connection.closed, { code: 4501, reason: 'signed out' });
});

test('commands share frames, and so do replies', async t => {
  const person = await signUp();
  const client = await connect(t, person);
  const [sent, received] = [client.tap.sent.length, client.tap.received.length];
  client.startBatching();
  const names = Array.from({ length: 20 }, (_, index) => `list ${index}`);
  const made = names.map(name => client.rpc('task_list.create', { name }));
  client.stopBatching();
  const answers = await Promise.all(made);
  const offsets = answers.map(({ data }) => data.positions[0].offset);
  assert.deepEqual(offsets, Array.from({ length: 20 }, (_, index) => offsets[0] + index), 'in the order of the frame');
  assert.equal(client.tap.sent.length - sent, 1);
  assert.equal(messages(client.tap.sent.at(-1)).length, 20);
  client.startBatching();
  const stats = Array.from({ length: 20 }, () => refused(client.presenceStats(person.channel)));
  client.stopBatching();
  await Promise.all(stats);
  const frames = client.tap.received.slice(received);
  assert.ok(frames.some(frame => messages(frame).length > 5), 'replies that are ready together travel together');
  assert.ok(frames.every(frame => messages(frame).every(message => message.length > 0)), 'none is empty');
});

test('a lost connection comes back', async t => {
  const person = await signUp();
  const proxy = await newProxy();
  const client = await connect(t, person, { url: proxy.url });
  await client.log.next('connected');
  await proxy.close();
  await client.log.next('connecting', ({ code }) => code === 1);
  await client.log.next('error', ({ type }) => type === 'transport');
  await proxy.open();
  await client.log.next('connected');
});

test('other subprotocols are answered as the standard says', async t => {
  const open = protocols =>
    new Promise(resolve => {
      const socket = new WebSocket(endpoint(node.url), protocols);
      t.after(() => socket.terminate());
      socket.on('open', () => resolve(socket.protocol)).on('error', error => resolve(error.message));
    });
  assert.equal(await open([]), '');
  assert.equal(await open(['centrifuge-json']), 'centrifuge-json');
  assert.equal(await open(['centrifuge-protobuf']), 'centrifuge-protobuf');
});
