// Links as phones have them: far away, in small pieces, silent in both directions.

import { assert, connect, events, newProxy, offsetIn, range, reach, roomOf, signUp, subscribe, test } from './world.mjs';

test('far away and in pieces of a few bytes: nothing but time is different', async t => {
  const person = await signUp();
  const list = await person.newList();
  const room = await roomOf(person);
  const proxy = await newProxy();
  await proxy.crumble();
  const client = await connect(t, person, { url: proxy.url });
  const [own, there] = await Promise.all([subscribe(client, person.channel), subscribe(client, room.channel)]);
  const from = own.log.all('subscribed')[0].streamPosition.offset;
  // All at once: answers find their questions, and events come in order.
  const answers = await Promise.all(range(1, 20).map(number => client.rpc('task.create', { list_id: list.id, description: `task ${number}` })));
  const offsets = answers.map(({ data }) => offsetIn(data, person.channel));
  assert.deepEqual(offsets, range(from + 1, from + 20));
  await reach(own, from + 20);
  assert.deepEqual(events(own).map(({ offset }) => offset), offsets);
  await there.publish({ type: 'reaction', data: '🎉' });
  const { data } = await there.log.next('publication', event => event.data.type === 'reaction');
  assert.equal(data.data, '🎉');
  await assert.rejects(client.rpc('task.create', { list_id: 7 }));
  assert.equal(client.log.count('connecting'), 1);
});

test('silent in both directions: the SDK comes back and has missed nothing', async t => {
  const person = await signUp();
  const list = await person.newList();
  const proxy = await newProxy();
  const client = await connect(t, person, { url: proxy.url, maxServerPingDelay: 2_000 });
  const sub = await subscribe(client, person.channel);
  const silent = Date.now();
  await proxy.lose();
  const missed = offsetIn(await person.newTask(list, 'unheard'), person.channel);
  await reach(sub, missed);
  const seconds = (Date.now() - silent) / 1_000;
  console.log(`back after ${seconds} s`);
  assert.ok(seconds < 20, `${seconds} s`);
  assert.deepEqual(events(sub).map(({ offset }) => offset), [missed]);
});
