// The cookie of a browser: it counts where a page of this host, or a listed one, comes from.

import { assert, connect, newClient, node, signUp, subscribe, test, upgrade } from './world.mjs';

const own = node.url;

test('the cookie alone signs in, from a page of this host', async t => {
  const person = await signUp();
  assert.match(person.cookie, /^studyhall=shs_/);
  const client = await connect(t, null, { upgradeHeaders: { cookie: `theme=dark; ${person.cookie}`, origin: own } });
  assert.equal((await client.log.next('connected')).data.user_id, person.id);
  assert.ok(!client.tap.sent[0].includes('token'));
  await subscribe(client, person.channel);
});

test('a page of others gets no socket at all', async t => {
  const person = await signUp();
  for (const origin of ['https://evil.example', `${own}.evil.example`, 'null', own.replace(/\d$/, digit => (Number(digit) + 1) % 10)]) {
    const { status, body } = await upgrade(own, { cookie: person.cookie, origin });
    assert.equal(status, 403, origin);
    assert.equal(JSON.parse(body).code, 'foreign_origin');
  }
  const client = newClient(t, person, { upgradeHeaders: { origin: 'https://evil.example' } });
  client.connect();
  await client.log.next('error', ({ type }) => type === 'transport');
  assert.equal(client.state, 'connecting', 'the SDK sees no status and tries again');
  assert.equal((await upgrade(own, { origin: own })).status, 101);
});

test('without an Origin the cookie is ignored', async t => {
  const person = await signUp();
  const client = newClient(t, null, { upgradeHeaders: { cookie: person.cookie } });
  client.connect();
  assert.equal((await client.log.next('disconnected')).code, 101);
  const withToken = await connect(t, person, { upgradeHeaders: { cookie: 'studyhall=nonsense' } });
  assert.equal((await withToken.log.next('connected')).data.user_id, person.id);
});

test('a token wins over the cookie, also when it is a bad one', async t => {
  const [person, other] = [await signUp(), await signUp()];
  const upgradeHeaders = { cookie: other.cookie, origin: own };
  const client = await connect(t, person, { upgradeHeaders });
  assert.equal((await client.log.next('connected')).data.user_id, person.id);
  const bad = newClient(t, null, { token: 'nonsense', upgradeHeaders });
  bad.connect();
  assert.equal((await bad.log.next('disconnected')).code, 101);
});

test('the cookie ends with its sign-in', async t => {
  const person = await signUp();
  const headers = { cookie: person.cookie, origin: own };
  const client = await connect(t, null, { upgradeHeaders: headers });
  const answer = await fetch(`${own}/api/v1/sessions/current`, { method: 'DELETE', headers });
  assert.equal(answer.status, 204);
  assert.match(answer.headers.get('set-cookie'), /^studyhall=; .*Max-Age=0/);
  assert.equal((await client.log.next('disconnected')).code, 4501);
  client.connect();
  assert.equal((await client.log.next('disconnected', ({ code }) => code !== 4501)).code, 101);
});

test('headers in the connect command are not headers', async t => {
  const person = await signUp();
  const claimed = { cookie: person.cookie, authorization: `Bearer ${person.token}`, origin: own };
  const client = newClient(t, null, { upgradeHeaders: { origin: own }, headers: claimed });
  client.connect();
  assert.equal((await client.log.next('disconnected')).code, 101);
  assert.ok(client.tap.sent[0].includes('"headers"'));
});
