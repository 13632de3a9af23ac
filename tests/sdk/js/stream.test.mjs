// Without a WebSocket: one answer that does not end, and commands in requests of their own.

import { randomUUID } from 'node:crypto';
import { describe } from 'node:test';
import {
  Centrifuge, PATIENCE, WebSocket, assert, connect as connectBy, events, newClient, newNode, newProxy, node, offsetIn, range,
  reach, refused, roomOf, signUp, subscribe, test, unnumbered, until,
} from './world.mjs';

const connect = (t, person, options) => connectBy(t, person, { stream: true, ...options });
const wait = seconds => new Promise(resolve => setTimeout(resolve, seconds * 1_000));

const post = (path, body, headers = {}) =>
  fetch(node.url + path, { method: 'POST', body, headers: { 'content-type': 'application/json', ...headers } });

/// The lines of a stream, as they come.
async function* lines(answer) {
  let text = '';
  for await (const some of answer.body.pipeThrough(new TextDecoderStream())) {
    text += some;
    for (let end; (end = text.indexOf('\n')) >= 0; text = text.slice(end + 1)) yield JSON.parse(text.slice(0, end));
  }
  assert.equal(text, '', 'a line without its end');
}

/// A stream without an SDK, connected.
async function bareStream(t, person, headers) {
  const connectCommand = { id: 1, connect: person ? { token: person.token } : {} };
  const abort = new AbortController();
  t.after(() => abort.abort());
  const answer = await fetch(`${node.url}/connection/http_stream`, {
    method: 'POST', body: JSON.stringify(connectCommand), headers: { 'content-type': 'application/json', ...headers }, signal: abort.signal,
  });
  const coming = lines(answer);
  const { value: first } = await coming.next();
  const send = (...commands) =>
    post('/emulation', JSON.stringify({
      session: first.connect.session, node: first.connect.node, data: commands.map(command => JSON.stringify(command)).join('\n'),
    }));
  const next = async () => (await coming.next()).value;
  return { answer, first, send, next, abort };
}

// Not all at once: everybody has to sign up.
describe('streams', { concurrency: 3 }, () => {
  test('pings and pongs', async t => {
    const client = await connect(t, await signUp(), { maxServerPingDelay: 1_500 });
    await wait(27);
    await client.rpc('task_list.create', { name: 'still here' });
    assert.equal(client.log.count('connecting'), 1);
  });

  test('commands, events, slots and broadcasts', async t => {
    const person = await signUp();
    const room = await roomOf(person);
    const widget = await person.newWidget(room);
    const client = await connect(t, person);
    assert.equal((await client.log.next('connected')).transport, 'http_stream');
    const other = await connectBy(t, person);
    const [here, there] = [await subscribe(client, room.channel, { joinLeave: true }), await subscribe(other, room.channel)];
    const drag_id = randomUUID();
    await here.publish({ type: 'drag', key: widget.id, data: { drag_id, grid_x: 1, grid_y: 2 } });
    await there.publish({ type: 'reaction', data: '👏' });
    for (const sub of [here, there]) {
      assert.equal((await unnumbered(sub, 'drag')).data.data.drag_id, drag_id);
      assert.equal((await unnumbered(sub, 'reaction')).data.data, '👏');
    }
    const made = await client.rpc('widget.move', { id: widget.id, drag_id, grid_x: 3, grid_y: 4 });
    const offset = offsetIn(made.data, room.channel);
    for (const sub of [here, there]) await reach(sub, offset);
    assert.equal((await refused(client.rpc('task.fly', {}))).code, 104);
    assert.equal((await here.presenceStats()).numUsers, 1);
    here.unsubscribe();
    await here.log.next('unsubscribed');
    here.subscribe();
    await here.log.next('subscribed', ({ wasRecovering }) => wasRecovering);
  });

  test('a stream of changes, and a cut in the middle of it', async t => {
    const person = await signUp();
    const list = await person.newList();
    const proxy = await newProxy();
    const client = await connect(t, person, { url: proxy.url });
    const sub = await subscribe(client, person.channel);
    const begin = sub.log.all('subscribed')[0].streamPosition.offset;
    const making = (async () => {
      for (const step of range(1, 120)) await person.newTask(list, `step ${step}`);
    })();
    await reach(sub, begin + 30);
    await proxy.cut();
    await client.log.next('connecting', ({ code }) => code === 1);
    await making;
    await reach(sub, begin + 120);
    assert.deepEqual(events(sub).map(({ offset }) => offset), range(begin + 1, begin + 120));
    assert.equal(sub.log.all('subscribed').at(-1).recovered, true);
  });

  test('large answers and many of them', async t => {
    const person = await signUp();
    const client = await connect(t, person);
    const names = range(1, 60).map(number => `${number} ${'ö'.repeat(40)}`);
    const answers = await Promise.all(names.map(name => client.rpc('task_list.create', { name })));
    assert.deepEqual(answers.map(({ data }) => data.data.name), names);
  });

  test('how a stream ends', async t => {
    const person = await signUp();
    const other = await person.again();
    const client = await connect(t, person);
    await client.log.next('connected');
    await person.delete('/sessions/current');
    const ended = await client.log.next('disconnected');
    assert.deepEqual([ended.code, ended.reason], [4501, 'signed out']);
    const bad = newClient(t, null, { stream: true, token: 'nonsense' });
    bad.connect();
    assert.equal((await bad.log.next('disconnected')).code, 101);
    const again = await connect(t, other);
    again.disconnect();
    assert.equal((await again.log.next('disconnected')).code, 0);
  });

  test('a node that drains', async t => {
    const old = await newNode();
    const successor = await newNode({ beside: old });
    const proxy = await newProxy(old);
    const person = await signUp(old);
    const list = await person.newList();
    const client = await connect(t, person, { url: proxy.url });
    const sub = await subscribe(client, person.channel);
    await proxy.leadTo(successor);
    await old.drain();
    const { code, reason } = await client.log.next('connecting', event => event.code > 0);
    assert.deepEqual([code, reason], [3001, 'shutdown']);
    await sub.log.next('subscribed', ({ recovered }) => recovered);
    person.url = successor.url;
    const { positions } = await person.newTask(list, 'over there');
    await reach(sub, offsetIn({ positions }, person.channel));
  });

  test('the lines', async t => {
    const person = await signUp();
    const stream = await bareStream(t, person);
    assert.equal(stream.answer.status, 200);
    assert.equal(stream.answer.headers.get('content-type'), 'application/x-ndjson');
    assert.equal(stream.answer.headers.get('cache-control'), 'no-store');
    const { session, node: name, client } = stream.first.connect;
    assert.match(session, /^[0-9a-f]{32}$/);
    assert.ok(name && client !== session);
    assert.equal((await stream.send({ id: 2, ping: {} }, { id: 3, subscribe: { channel: person.channel } })).status, 204);
    assert.deepEqual(await stream.next(), { id: 2, ping: {} });
    assert.equal((await stream.next()).subscribe.recoverable, true);
    assert.equal((await stream.send('nope')).status, 204);
    assert.deepEqual(await stream.next(), { push: { disconnect: { code: 3501, reason: 'bad request' } } });
    assert.equal(await stream.next(), undefined, 'and the end');
    assert.equal((await stream.send({ id: 4, ping: {} })).status, 404);
  });

  test('commands that reach nobody', async t => {
    const stream = await bareStream(t, await signUp());
    const { session, node: name } = stream.first.connect;
    const to = (wrong, headers) => post('/emulation', JSON.stringify({ session, node: name, data: '{}', ...wrong }), headers);
    assert.equal((await to({})).status, 204);
    const inverted = session.replace(/./g, digit => (15 - parseInt(digit, 16)).toString(16));
    for (const unknown of ['', '0', inverted, session.toUpperCase() + ' ', `+${session.slice(1)}`, stream.first.connect.client]) {
      assert.equal((await to({ session: unknown })).status, 404, unknown);
    }
    assert.equal((await to({ node: 'elsewhere' })).status, 404);
    assert.equal((await to({ data: 'x'.repeat(300_000) })).status, 413);
    assert.equal((await to({ data: { id: 1 } })).status, 400);
    assert.equal((await to({}, { origin: 'https://evil.example' })).status, 403);
    for (const body of ['', '[]', 'null', '{']) assert.equal((await post('/emulation', body)).status, 400, body);
    assert.equal((await fetch(`${node.url}/emulation`)).status, 405);
    assert.equal((await fetch(`${node.url}/connection/http_stream`)).status, 405);
  });

  test('the cookie counts from an allowed origin only', async t => {
    const person = await signUp();
    const cookie = person.cookie;
    const own = await bareStream(t, null, { cookie, origin: node.url });
    assert.equal(own.first.connect.data.user_id, person.id);
    assert.equal((await bareStream(t, null, { cookie })).first.error.code, 101);
    const foreign = await post('/connection/http_stream', '{"id":1,"connect":{}}', { cookie, origin: 'https://evil.example' });
    assert.equal(foreign.status, 403);
  });

  test('the SDK turns to it when there is no WebSocket', async t => {
    const person = await signUp();
    const client = new Centrifuge(
      [
        { transport: 'websocket', endpoint: `${node.url.replace('http', 'ws')}/nowhere` },
        { transport: 'http_stream', endpoint: `${node.url}/connection/http_stream` },
      ],
      { token: person.token, emulationEndpoint: `${node.url}/emulation`, websocket: WebSocket, minReconnectDelay: 20, maxReconnectDelay: 200 },
    );
    t.after(() => client.disconnect());
    client.connect();
    await client.ready(PATIENCE);
    const { data } = await client.rpc('task_list.create', { name: 'by and by' });
    assert.equal(data.data.name, 'by and by');
    const before = (await node.counts()).sockets;
    client.disconnect();
    await until('it is gone', async () => (await node.counts()).sockets < before);
  });
});
