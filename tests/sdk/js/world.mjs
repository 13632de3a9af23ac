// What the tests share: people over REST, clients that are watched, and the server's side.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { test as nodeTest } from 'node:test';
import WebSocket from 'ws';
import { Centrifuge, isEmpty, kept, messages, open } from './format.mjs';

/// Long enough for a loaded machine; a test that waits this long has failed.
export const PATIENCE = 20_000;
export const PASSWORD = 'correct horse battery';

export const test = (name, body) => nodeTest(name, { timeout: 60_000 }, body);

// --- the server's side

const call = async (path, body, method = 'POST') => {
  const answer = await fetch(process.env.STUDYHALL_CONTROL + path, {
    method,
    body,
    headers: { 'content-type': typeof body === 'string' && body[0] !== '{' ? 'text/plain' : 'application/json' },
  });
  const text = await answer.text();
  assert.ok(answer.ok, `${path}: ${text}`);
  return JSON.parse(text);
};

class Node {
  constructor(number, url) {
    Object.assign(this, { number, url });
  }

  /// The rows of a query.
  sql = query => call(`/nodes/${this.number}/sql`, query);
  /// How many rows a statement changed.
  execute = async statement => (await call(`/nodes/${this.number}/execute`, statement)).rows;
  drain = () => call(`/nodes/${this.number}/drain`, '{}');
  counts = () => call(`/nodes/${this.number}/counts`, undefined, 'GET');
  trim = (channel, keepFrom) => this.sql(`select trim_channel('${channel}', ${keepFrom})`);
  head = async channel => (await this.sql(`select head from channel_heads where channel = '${channel}'`))[0]?.head ?? 0;
}

/// The node that every file starts with.
export const node = new Node(0, process.env.STUDYHALL_URL);

/// Another node; with `beside` over the database of that one.
export async function newNode({ beside, ...settings } = {}) {
  const made = await call('/nodes', JSON.stringify({ ...settings, ...(beside && { beside: beside.number }) }));
  return new Node(made.node, made.url);
}

/// A road to a node: `cut`, `close`, `open`, `hold`, `mute`, `freeze`, `lose`, `crumble`, `leadTo`.
export async function newProxy(to = node) {
  const { proxy, url } = await call('/proxies', JSON.stringify({ node: to.number }));
  const act = action => () => call(`/proxies/${proxy}/${action}`, '{}');
  const names = ['cut', 'close', 'open', 'hold', 'mute', 'freeze', 'lose', 'crumble'];
  const actions = Object.fromEntries(names.map(name => [name, act(name)]));
  return { url, ...actions, leadTo: other => act(`lead/${other.number}`)() };
}

// --- people

export class Person {
  constructor(signedIn, url, cookie) {
    Object.assign(this, { id: signedIn.user.id, username: signedIn.user.username, token: signedIn.token, url, cookie });
    this.channel = `user:${this.id}`;
  }

  /// The body, if the status is as expected.
  async call(method, path, body, status) {
    const answer = await fetch(`${this.url}/api/v1${path}`, {
      method,
      headers: { authorization: `Bearer ${this.token}`, 'content-type': 'application/json' },
      body: body && JSON.stringify(body),
    });
    const text = await answer.text();
    const fits = status ? answer.status === status : answer.ok;
    assert.ok(fits, `${method} ${path}: ${answer.status} ${text}`);
    return text && JSON.parse(text);
  }

  get = path => this.call('GET', path);
  post = (path, body = {}) => this.call('POST', path, body);
  patch = (path, body) => this.call('PATCH', path, body);
  put = path => this.call('PUT', path);
  delete = path => this.call('DELETE', path);

  newList = async (name = 'Today') => (await this.post('/task-lists', { name })).data;
  newTask = (list, description) => this.post(`/task-lists/${list.id}/tasks`, { description });
  newRoom = async (settings = {}) => (await this.post('/workspaces', { name: 'Library', settings })).data;
  newWidget = async (room, more = {}) => {
    const place = { grid_x: 0, grid_y: 0, grid_w: 2, grid_h: 2 };
    return (await this.post(`/workspaces/${room.id}/widgets`, { type: 'clock', ...place, ...more })).data;
  };
  letIn = (room, person) => this.put(`/workspaces/${room.id}/members/${person.id}`);
  /// One more sign-in of the same person.
  again = async () => signedIn(await raw(this.url, '/sessions', { username: this.username, password: PASSWORD }), this.url);
}

const raw = (url, path, body) =>
  fetch(`${url}/api/v1${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });

async function signedIn(answer, url) {
  assert.equal(answer.status, 201, await answer.clone().text());
  return new Person(await answer.json(), url, answer.headers.get('set-cookie').split(';')[0]);
}

let people = 0;

/// Somebody with an account, signed in.
export async function signUp(at = node) {
  people += 1;
  const username = `js-${process.pid}-${people}`;
  return signedIn(await raw(at.url, '/accounts', { username, password: PASSWORD }), at.url);
}

/// Marks a sign-in as run out. Do it before its first use: answers are believed for some seconds.
export async function expire(person, at = node, when = "interval '-1 second'") {
  const changed = await at.execute(`update sign_ins set expires_at = now() + ${when} where user_id = '${person.id}' and ended_at is null`);
  assert.ok(changed > 0);
}

/// A room with a person in it, and its channel.
export async function roomOf(person, settings) {
  const room = await person.newRoom(settings);
  return { ...room, channel: `workspace:${room.id}` };
}

// --- clients

export const endpoint = url => `${url.replace('http', 'ws')}/connection/websocket`;

/// A WebSocket that keeps what went through it. `headers` are those of the upgrade.
export function tap(headers = {}) {
  const sent = [];
  const received = [];
  const sockets = [];
  class Tapped extends WebSocket {
    constructor(address, protocols) {
      super(address, protocols, { headers });
      sockets.push(this);
      this.on('message', data => received.push(kept(data)));
    }

    send(data, ...rest) {
      sent.push(kept(data));
      super.send(data, ...rest);
    }
  }
  return { Tapped, sent, received, sockets };
}

/// Where a client finds its server without a WebSocket.
/// Whether a file runs over streams altogether.
const STREAMS = process.env.STUDYHALL_TRANSPORT === 'http_stream';
const streaming = url => [{ transport: 'http_stream', endpoint: `${url}/connection/http_stream` }];

/// A client of the SDK that is ended with the test. Not connected yet. With `stream` it gets no WebSocket.
export function newClient(t, person, { url = person?.url ?? node.url, upgradeHeaders, stream = STREAMS, ...options } = {}) {
  const tapped = tap(upgradeHeaders);
  const client = new Centrifuge(stream ? streaming(url) : endpoint(url), {
    websocket: tapped.Tapped,
    emulationEndpoint: `${url}/emulation`,
    minReconnectDelay: 20,
    maxReconnectDelay: 200,
    // Of commands: a machine may be busy.
    timeout: 15_000,
    ...(person && { token: person.token }),
    ...options,
  });
  client.tap = tapped;
  client.log = watch(client, 'connecting', 'connected', 'disconnected', 'error');
  t.after(() => {
    client.disconnect();
    // A socket whose other side does not answer any more would be waited for.
    setTimeout(() => tapped.sockets.forEach(socket => socket.terminate()), 200);
  });
  return client;
}

/// What an upgrade is answered with, and nothing is left of it.
export const upgrade = (url, headers) =>
  new Promise(resolve => {
    const socket = new WebSocket(endpoint(url), { headers });
    socket.on('open', () => resolve((socket.terminate(), { status: 101 })));
    socket.on('error', () => {});
    socket.on('unexpected-response', (_, answer) => {
      const road = answer.socket;
      let body = '';
      answer.on('data', some => (body += some)).on('end', () => {
        resolve({ status: answer.statusCode, headers: answer.headers, body });
        road.destroy();
      });
    });
  });

/// A client that is connected.
export async function connect(t, person, options) {
  const client = newClient(t, person, options);
  client.connect();
  await client.ready(PATIENCE);
  return client;
}

/// A subscription that is watched. Not subscribed yet.
export function newSub(client, channel, options) {
  const sub = client.newSubscription(channel, { minResubscribeDelay: 20, maxResubscribeDelay: 200, ...options });
  sub.log = watch(sub, 'subscribing', 'subscribed', 'unsubscribed', 'publication', 'join', 'leave', 'error');
  return sub;
}

/// A subscription that stands.
export async function subscribe(client, channel, options) {
  const sub = newSub(client, channel, options);
  sub.subscribe();
  await sub.ready(PATIENCE);
  return sub;
}

/// Everything that an emitter says, in order; `next` hands out each once, the oldest that is acceptable first.
export function watch(emitter, ...names) {
  const seen = [];
  const handed = new Set();
  const waiting = new Set();
  for (const name of names) {
    emitter.on(name, context => {
      seen.push({ name, ...open(context) });
      waiting.forEach(look => look());
    });
  }
  const all = name => seen.filter(event => event.name === name);
  const next = (name, accept = () => true) => {
    const take = () => {
      const found = all(name).find(event => !handed.has(event) && accept(event));
      return found && handed.add(found) && found;
    };
    return waitFor(waiting, take, () => `${name} after ${JSON.stringify(seen.slice(-8))}`);
  };
  return { seen, all, next, count: name => all(name).length };
}

/// Looks again whenever `waiting` is told to, until something is found.
function waitFor(waiting, find, what) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      waiting.delete(look);
      reject(new Error(`no ${what()}`));
    }, PATIENCE);
    const look = () => {
      const found = find();
      if (!found) return;
      clearTimeout(timer);
      waiting.delete(look);
      resolve(found);
    };
    waiting.add(look);
    look();
  });
}

/// Numbered publications.
export const events = sub => sub.log.all('publication').filter(({ offset }) => offset > 0);
/// Waits for the event with this number.
export const reach = (sub, offset) => sub.log.next('publication', event => event.offset === offset);
/// Waits for what is published without a number.
export const unnumbered = (sub, type) => sub.log.next('publication', ({ offset, data }) => !offset && data.type === type);
/// Where a command's event is.
export const offsetIn = (answer, channel) => answer.positions.find(position => position.channel === channel).offset;

/// Waits until something is true.
export async function until(what, check) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    if (await check()) return;
    assert.ok(Date.now() < end, `never: ${what}`);
    await new Promise(resolve => setTimeout(resolve, 20));
  }
}

/// Whole numbers from `first` to `last`.
export const range = (first, last) => Array.from({ length: last - first + 1 }, (_, index) => first + index);

/// What is thrown.
export const refused = promise => promise.then(value => assert.fail(`not refused: ${JSON.stringify(value)}`), error => error);

// --- without an SDK

/// A bare connection: for what no SDK sends.
export async function bare(t, { url = node.url, headers } = {}) {
  const socket = new WebSocket(endpoint(url), { headers });
  const lines = [];
  const waiting = new Set();
  const closed = new Promise(resolve => socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() })));
  socket.on('message', data => {
    lines.push(...data.toString().split('\n').map(line => JSON.parse(line)));
    waiting.forEach(look => look());
  });
  t.after(() => socket.terminate());
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  const reply = id => waitFor(waiting, () => lines.find(line => line.id === id), () => `reply ${id}`);
  const send = frame => socket.send(typeof frame === 'string' ? frame : JSON.stringify(frame));
  const ask = command => (send(command), reply(command.id));
  return { socket, lines, send, reply, ask, closed };
}

/// A bare connection after its connect command.
export async function bareAs(t, person) {
  const connection = await bare(t, { url: person.url });
  assert.ok((await connection.ask({ id: 1, connect: { token: person.token } })).connect);
  return connection;
}

export { assert, isEmpty, messages, randomUUID, Centrifuge, WebSocket };
