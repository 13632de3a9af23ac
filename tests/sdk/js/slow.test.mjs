// What takes its time: deadlines of the server and of the SDK. All at once, for most of it is waiting.

import { randomUUID } from 'node:crypto';
import { describe } from 'node:test';
import {
  assert, bare, connect, events, isEmpty, newProxy, node, offsetIn, reach, roomOf, signUp, subscribe, test, until,
} from './world.mjs';

const seconds = since => (Date.now() - since) / 1_000;

describe('deadlines', { concurrency: true }, () => {
  test('a server that falls silent: the SDK reconnects and recovers', async t => {
    const person = await signUp();
    const list = await person.newList();
    const proxy = await newProxy();
    const client = await connect(t, person, { url: proxy.url, maxServerPingDelay: 300 });
    const sub = await subscribe(client, person.channel);
    const silent = Date.now();
    await proxy.freeze();
    const missed = offsetIn(await person.newTask(list, 'unheard'), person.channel);
    const { reason } = await client.log.next('connecting', ({ code }) => code === 2);
    assert.equal(reason, 'no ping');
    assert.ok(seconds(silent) > 14 && seconds(silent) < 19, `${seconds(silent)} s`);
    await reach(sub, missed);
    assert.deepEqual(events(sub).map(({ offset }) => offset), [missed]);
    assert.equal(sub.log.all('subscribed').at(-1).recovered, true);
  });

  test('pings keep an idle connection', async t => {
    const person = await signUp();
    const client = await connect(t, person, { maxServerPingDelay: 1_500 });
    const begin = Date.now();
    await until('a ping came', () => client.tap.received.some(isEmpty));
    assert.ok(seconds(begin) > 6 && seconds(begin) < 17.5, `${seconds(begin)} s`);
    await until('it was answered', () => client.tap.sent.some(isEmpty));
    await client.rpc('task_list.create', { name: 'still here' });
    assert.equal(client.log.count('connecting'), 1);
  });

  test('whoever does not say who they are: 4000', async t => {
    const begin = Date.now();
    const connection = await bare(t);
    const { code, reason } = await connection.closed;
    assert.deepEqual([code, reason], [4000, 'no connect command']);
    assert.ok(seconds(begin) > 14 && seconds(begin) < 18, `${seconds(begin)} s`);
  });

  test('a lost connection is held: no leave, no join, and a leave when it stays away', async t => {
    const [aiko, ben] = [await signUp(), await signUp()];
    const room = await roomOf(aiko);
    await aiko.letIn(room, ben);
    const watching = await subscribe(await connect(t, aiko), room.channel, { joinLeave: true });
    const proxy = await newProxy();
    const client = await connect(t, ben, { url: proxy.url });
    const sub = await subscribe(client, room.channel);
    await watching.log.next('join', ({ info }) => info.user === ben.id);
    await proxy.cut();
    await client.log.next('connecting', ({ code }) => code === 1);
    await sub.log.next('subscribed', ({ wasRecovering }) => wasRecovering);
    assert.ok((await watching.presence()).clients[ben.id]);
    await proxy.close();
    await client.log.next('connecting', ({ code }) => code === 1);
    const lost = Date.now();
    assert.ok((await watching.presence()).clients[ben.id], 'still held');
    assert.equal((await watching.log.next('leave')).info.user, ben.id);
    assert.ok(seconds(lost) > 8 && seconds(lost) < 13, `${seconds(lost)} s`);
    assert.deepEqual(watching.log.all('join').filter(({ info }) => info.user === ben.id).length, 1);
    assert.equal(watching.log.count('leave'), 1);
    await proxy.open();
    assert.equal((await watching.log.next('join', ({ info }) => info.user === ben.id)).info.user, ben.id);
  });

  test('a drag whose author vanishes is dropped where it was', async t => {
    const [aiko, ben] = [await signUp(), await signUp()];
    const room = await roomOf(aiko);
    await aiko.letIn(room, ben);
    const widget = await aiko.newWidget(room);
    const watching = await subscribe(await connect(t, aiko), room.channel);
    const proxy = await newProxy();
    const client = await connect(t, ben, { url: proxy.url });
    const sub = await subscribe(client, room.channel);
    const drag_id = randomUUID();
    await sub.publish({ type: 'drag', key: widget.id, data: { drag_id, grid_x: 7.4, grid_y: 2.6 } });
    await proxy.close();
    const { data } = await watching.log.next('publication', event => event.data.type === 'widget.moved');
    const { widget: dropped, drag_id: ended } = data.data;
    assert.deepEqual([ended, dropped.grid_x, dropped.grid_y, data.actor], [drag_id, 7, 3, ben.id]);
    const rows = await node.sql(`select grid_x, grid_y from immersive_widgets where id = '${widget.id}'`);
    assert.deepEqual(rows, [{ grid_x: 7, grid_y: 3 }]);
  });
});
