// Two people in one room, one with the JavaScript SDK and one with the Python SDK: each sees what the other does.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { assert, connect, events, node, offsetIn, randomUUID, range, reach, roomOf, signUp, subscribe, test, unnumbered, watch } from './world.mjs';

/// Somebody with the Python SDK.
async function partner(t, person, position) {
  const script = new URL('../python/partner.py', import.meta.url).pathname;
  const program = spawn(process.env.STUDYHALL_PYTHON, ['-B', script], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => program.stdin.end());
  const lines = createInterface({ input: program.stdout });
  const log = watch({ on: (_, hear) => lines.on('line', line => hear({ answer: JSON.parse(line) })) }, 'answer');
  const ask = async (method, given = {}) => {
    program.stdin.write(`${JSON.stringify([method, given])}\n`);
    const { answer: [fine, result] } = await log.next('answer');
    assert.ok(fine, `${method}: ${result}`);
    return result;
  };
  await ask('join', { token: person.token, ...position });
  return ask;
}

async function meeting(t) {
  const [aiko, ben] = [await signUp(), await signUp()];
  const room = await roomOf(aiko);
  await aiko.letIn(room, ben);
  const widgets = [await aiko.newWidget(room), await aiko.newWidget(room)];
  const { positions: [position] } = await aiko.get(`/workspaces/${room.id}`);
  const client = await connect(t, aiko);
  const sub = await subscribe(client, room.channel, { since: position });
  const ask = await partner(t, ben, position);
  return { aiko, ben, room, widgets, position, client, sub, ask };
}

const drag = (widget, drag_id, grid_x) => ({ type: 'drag', key: widget.id, data: { drag_id, grid_x, grid_y: 0 } });
const numbered = publications => publications.filter(({ offset }) => offset > 0);

test('each sees the drags, drops and reactions of the other', async t => {
  const { aiko, ben, room, widgets: [left, right], position, client, sub, ask } = await meeting(t);
  assert.deepEqual(await ask('presence'), [aiko.id, ben.id].sort());
  const [mine, theirs] = [randomUUID(), randomUUID()];
  for (const step of range(1, 20)) {
    await sub.publish(drag(left, mine, step));
    await ask('publish', drag(right, theirs, step + 0.5));
  }
  await ask('until', { type: 'drag', data: drag(left, mine, 20).data });
  await sub.log.next('publication', ({ data }) => data.type === 'drag' && data.key === right.id && data.data.grid_x === 20.5);
  const dropped = (await client.rpc('widget.move', { id: left.id, drag_id: mine, grid_x: 20, grid_y: 0 })).data;
  const put = await ask('rpc', { method: 'widget.move', data: { id: right.id, drag_id: theirs, grid_x: 21, grid_y: 0 } });
  const last = offsetIn(put, room.channel);
  assert.equal(last, offsetIn(dropped, room.channel) + 1);
  await reach(sub, last);
  const seen = numbered(await ask('until', { offset: last }));
  const strip = ({ offset, data }) => ({ offset, data });
  assert.deepEqual(seen, events(sub).map(strip), 'both have the same events');
  assert.deepEqual(seen.map(({ offset }) => offset), [position.offset + 1, position.offset + 2]);
  assert.deepEqual(seen.map(({ data }) => [data.actor, data.data.drag_id]), [[aiko.id, mine], [ben.id, theirs]]);
  await sub.publish({ type: 'reaction', data: '👏' });
  await ask('until', { type: 'reaction', data: '👏' });
  await ask('publish', { type: 'reaction', data: 'ありがとう' });
  assert.equal((await sub.log.next('publication', ({ data }) => data.data === 'ありがとう')).data.actor, ben.id);
  const rows = await node.sql(`select id, grid_x from immersive_widgets where workspace_id = '${room.id}' order by grid_x`);
  assert.deepEqual(rows, [{ id: left.id, grid_x: 20 }, { id: right.id, grid_x: 21 }]);
  const log = await node.sql(`select "offset", type, actor from events where channel = '${room.channel}' and "offset" > ${position.offset} order by 1`);
  assert.deepEqual(log.map(({ type, actor }) => [type, actor]), [['widget.moved', aiko.id], ['widget.moved', ben.id]]);
});

test('both write at once, one leaves and comes back: the same events, once, in one order', async t => {
  const { room, widgets: [left, right], position, client, sub, ask } = await meeting(t);
  const count = 40;
  const mine = Promise.all(range(1, count).map(step => client.rpc('widget.move', { id: left.id, grid_x: step, grid_y: 1 })));
  for (const step of range(1, count)) await ask('rpc', { method: 'widget.move', data: { id: right.id, grid_x: step, grid_y: 2 } });
  await mine;
  await ask('leave');
  const away = await Promise.all(range(1, count).map(step => client.rpc('widget.update', { id: left.id, title: `away ${step}` })));
  await ask('come_back');
  const last = Math.max(...away.map(({ data }) => offsetIn(data, room.channel)));
  assert.equal(last, position.offset + 3 * count);
  await reach(sub, last);
  const seen = numbered(await ask('until', { offset: last }));
  assert.deepEqual(seen.map(({ offset }) => offset), range(position.offset + 1, last));
  assert.deepEqual(seen, events(sub).map(({ offset, data }) => ({ offset, data })));
  const stored = await node.sql(`select count(*) from events where channel = '${room.channel}'`);
  assert.equal(stored[0].count, last);
  await ask('publish', { type: 'nudge' });
  await unnumbered(sub, 'nudge');
});
