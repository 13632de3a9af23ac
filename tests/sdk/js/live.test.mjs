// What has no number: drags, pointers, reactions, who is here. And the log through history.

import {
  assert, connect, events, newClient, newNode, newSub, node, offsetIn, randomUUID, range, reach, refused, roomOf, signUp, subscribe, test,
  unnumbered,
} from './world.mjs';

/// A room with an owner and a member in it, each with a connection.
async function meeting(t, settings) {
  const [aiko, ben] = [await signUp(), await signUp()];
  const room = await roomOf(aiko, settings);
  await aiko.letIn(room, ben);
  const widget = await aiko.newWidget(room);
  const [first, second] = [await connect(t, aiko), await connect(t, ben)];
  const [one, two] = [await subscribe(first, room.channel), await subscribe(second, room.channel)];
  return { aiko, ben, room, widget, first, second, one, two };
}

const drag = (widget, drag_id, grid_x, grid_y = 0) => ({ type: 'drag', key: widget.id, data: { drag_id, grid_x, grid_y } });

test('what has no number does not move the position', async t => {
  const { aiko, room, widget, first, second, one, two } = await meeting(t);
  const gesture = randomUUID();
  const moves = [];
  for (let step = 1; step <= 10; step += 1) {
    await one.publish(drag(widget, gesture, step));
    await one.publish({ type: 'reaction', data: step });
    await one.publish({ type: 'pointer', data: { x: step } });
    const { data } = await first.rpc('widget.update', { id: widget.id, title: `step ${step}` });
    moves.push(offsetIn(data, room.channel));
  }
  await reach(two, moves.at(-1));
  const reactions = () => two.log.all('publication').filter(({ data }) => data.type === 'reaction').map(({ data }) => data.data);
  await two.log.next('publication', ({ data }) => data.type === 'reaction' && data.data === 10);
  assert.deepEqual(reactions(), range(1, 10));
  await two.log.next('publication', ({ data }) => data.type === 'pointer' && data.data?.x === 10);
  second.disconnect();
  const missed = offsetIn((await first.rpc('widget.update', { id: widget.id, title: 'missed' })).data, room.channel);
  second.connect();
  await reach(two, missed);
  assert.equal(two.log.all('subscribed').at(-1).recovered, true);
  assert.deepEqual(events(two).map(({ offset }) => offset), [...moves, missed]);
  assert.ok(two.log.all('publication').every(({ offset, data }) => (offset > 0) === data.type.includes('.')));
  assert.ok(two.log.all('publication').every(({ data }) => data.actor === aiko.id));
});

test('a drag, its drop, and its late values', async t => {
  const { aiko, ben, room, widget, first, second, one, two } = await meeting(t);
  const gesture = randomUUID();
  await one.publish(drag(widget, gesture, 1.25, 2.5));
  const seen = await unnumbered(two, 'drag');
  assert.deepEqual(seen.data, { ...drag(widget, gesture, 1.25, 2.5), actor: aiko.id });
  const held = await refused(two.publish(drag(widget, randomUUID(), 9)));
  assert.equal(held.code, 1409);
  assert.match(held.message, new RegExp(`^widget_held: ${aiko.id}`));
  const late = await subscribe(await connect(t, ben), room.channel);
  assert.deepEqual(late.log.all('subscribed')[0].data.slots, [{ ...drag(widget, gesture, 1.25, 2.5), actor: aiko.id }]);
  const { data } = await first.rpc('widget.move', { id: widget.id, drag_id: gesture, grid_x: 4, grid_y: 3 });
  const offset = offsetIn(data, room.channel);
  for (const sub of [one, two, late]) {
    const { data: { data: moved } } = await reach(sub, offset);
    assert.deepEqual([moved.drag_id, moved.widget.grid_x, moved.widget.grid_y], [gesture, 4, 3]);
  }
  await one.publish(drag(widget, gesture, 99));
  await one.publish({ type: 'nudge' });
  for (const sub of [one, two, late]) {
    await unnumbered(sub, 'nudge');
    assert.ok(sub.log.all('publication').every(({ data }) => data.data?.grid_x !== 99), 'a late value of a drag that is over');
  }
  const rows = await node.sql(`select grid_x, grid_y from immersive_widgets where id = '${widget.id}'`);
  assert.deepEqual(rows, [{ grid_x: 4, grid_y: 3 }]);
  await second.publish(room.channel, drag(widget, randomUUID(), 5));
});

test('pointers and typing are cleared when their author goes', async t => {
  const { aiko, first, one, two } = await meeting(t);
  await one.publish({ type: 'pointer', data: { x: 1 } });
  await one.publish({ type: 'typing', data: true });
  await unnumbered(two, 'pointer');
  await unnumbered(two, 'typing');
  first.disconnect();
  for (const type of ['pointer', 'typing']) {
    const { data } = await unnumbered(two, type);
    assert.deepEqual([data.actor, data.data], [aiko.id, null]);
  }
});

test('send needs no answer and gets none', async t => {
  const { aiko, room, first, one, two } = await meeting(t);
  await first.send({ channel: room.channel, type: 'reaction', data: '👏' });
  const { data } = await unnumbered(two, 'reaction');
  assert.deepEqual(data, { type: 'reaction', actor: aiko.id, data: '👏' });
  for (const nonsense of [
    {}, null, 5, { channel: 'news', type: 'reaction' }, { channel: room.channel, type: 'shout' }, { channel: `user:${aiko.id}`, type: 'nudge' },
  ]) {
    await first.send(nonsense);
  }
  await one.publish({ type: 'nudge' });
  await unnumbered(two, 'nudge');
  assert.equal(two.log.count('publication'), 2);
  assert.equal(first.log.count('connecting'), 1, 'the connection goes on');
});

test('broadcasts come in order, to everybody in the room', async t => {
  const { one, two } = await meeting(t);
  for (const sub of [one, two]) sub.order = [];
  const all = range(1, 100).map(number => (number % 2 ? one : two).publish({ type: 'custom', key: 'poll', data: { number } }));
  await Promise.all(all);
  for (const sub of [one, two]) {
    await Promise.all(range(1, 100).map(() => unnumbered(sub, 'custom')));
    sub.order = sub.log.all('publication').map(({ data }) => data.data.number);
    assert.deepEqual([...sub.order].sort((a, b) => a - b), range(1, 100));
    for (const parity of [0, 1]) {
      const ofOne = sub.order.filter(number => number % 2 === parity);
      assert.deepEqual(ofOne, [...ofOne].sort((a, b) => a - b), 'as their author sent them');
    }
  }
  assert.deepEqual(one.order, two.order, 'in one order for all');
});

test('what may not be published is refused, and by which code', async t => {
  const { aiko, ben, room, widget, first, one } = await meeting(t, { guests: true });
  const guest = await subscribe(await connect(t, await signUp()), room.channel);
  await guest.publish({ type: 'reaction', data: 1 });
  const outside = await connect(t, await signUp());
  for (const [publishing, code, message] of [
    [() => guest.publish(drag(widget, randomUUID(), 1)), 1403, /^guests_look_on: /],
    [() => guest.publish({ type: 'custom', data: 1 }), 1403, /^guests_look_on: /],
    [() => one.publish({ type: 'shout' }), 107, /^bad_request: /],
    [() => one.publish({ type: 'drag', key: widget.id, data: { grid_x: 1 } }), 107, /^bad_request: /],
    [() => one.publish({ type: 'pointer', key: ben.id, data: 1 }), 107, /^bad_request: /],
    [() => one.publish({ type: 'reaction', data: 'x'.repeat(9_000) }), 107, /^bad_request: /],
    [() => one.publish(null), 107, /^bad_request: /],
    [() => outside.publish(room.channel, { type: 'nudge' }), 103, /^permission_denied/],
    [() => first.publish('news', { type: 'nudge' }), 102, /^unknown_channel/],
    [() => first.publish(aiko.channel, { type: 'nudge' }), 103, /^permission_denied/],
  ]) {
    const error = await refused(publishing());
    assert.equal(error.code, code, JSON.stringify(error));
    assert.match(error.message, message);
  }
  const own = await subscribe(first, aiko.channel);
  assert.equal((await refused(own.publish({ type: 'nudge' }))).code, 103, 'only rooms take publications');
});

test('who is here: people, not connections', async t => {
  const { aiko, ben, room, first, one } = await meeting(t);
  const watcher = await signUp();
  await aiko.letIn(room, watcher);
  const third = await connect(t, watcher);
  const watching = await subscribe(third, room.channel, { joinLeave: true });
  assert.deepEqual(watching.log.all('subscribed')[0].data.people.map(({ user }) => user).sort(), [aiko.id, ben.id, watcher.id].sort());
  assert.equal((await watching.log.next('join')).info.user, watcher.id);
  // A second device of somebody who is here is no join.
  const device = await connect(t, ben);
  const onDevice = await subscribe(device, room.channel);
  assert.deepEqual(await one.presenceStats(), { numClients: 4, numUsers: 3 });
  const { clients } = await one.presence();
  assert.deepEqual(Object.keys(clients).sort(), [aiko.id, ben.id, watcher.id].sort());
  const { client, user, connInfo, chanInfo } = clients[ben.id];
  assert.deepEqual([client, user, chanInfo], [ben.id, ben.id, { devices: 2 }]);
  assert.deepEqual(connInfo, { username: ben.username, full_name: null, profile_image_url: null });
  const late = await signUp();
  await aiko.letIn(room, late);
  const fourth = await connect(t, late);
  await subscribe(fourth, room.channel);
  assert.equal((await watching.log.next('join')).info.user, late.id, 'and the device before it did not join');
  // One device less is no leave; the last one is.
  onDevice.unsubscribe();
  fourth.disconnect();
  const left = Date.now();
  assert.equal((await watching.log.next('leave')).info.user, late.id);
  assert.ok(Date.now() - left < 1_500, `${Date.now() - left} ms`);
  device.disconnect();
  first.disconnect();
  assert.equal((await watching.log.next('leave')).info.user, aiko.id);
  assert.equal((await watching.presenceStats()).numUsers, 2);
  assert.equal(one.log.count('join') + one.log.count('leave'), 0, 'only for those who asked');
  assert.equal((await refused(third.presence(aiko.channel))).code, 103);
  const profile = await subscribe(third, `profile:${aiko.id}`);
  assert.equal((await refused(profile.presence())).code, 108);
});

test('a quick way out and in again is neither a leave nor a join', async t => {
  const { aiko, ben, room, one, second, two } = await meeting(t);
  const third = await connect(t, aiko);
  const watching = await subscribe(third, room.channel, { joinLeave: true });
  two.unsubscribe();
  two.subscribe();
  await two.ready();
  second.disconnect();
  second.connect();
  await second.ready();
  await two.ready();
  const last = await signUp();
  await aiko.letIn(room, last);
  await subscribe(await connect(t, last), room.channel);
  assert.equal((await watching.log.next('join')).info.user, last.id);
  assert.equal(watching.log.count('leave'), 0);
  assert.deepEqual((await one.presence()).clients[ben.id].chanInfo, { devices: 1 });
});

test('history is the log', async t => {
  const { aiko, room, widget, first, one } = await meeting(t);
  for (const step of range(1, 20)) await first.rpc('widget.move', { id: widget.id, grid_x: step, grid_y: 0 });
  const head = await node.head(room.channel);
  const { epoch } = (await aiko.get(`/workspaces/${room.id}`)).positions[0];
  const offsets = ({ publications }) => publications.map(({ offset }) => offset);
  assert.deepEqual(await one.history({ limit: 0 }), { publications: [], offset: head, epoch });
  assert.deepEqual(offsets(await one.history({ limit: -1 })), range(1, head));
  assert.deepEqual(offsets(await one.history({ limit: 5 })), range(1, 5));
  assert.deepEqual(offsets(await one.history({ limit: 5, since: { offset: 10, epoch } })), range(11, 15));
  assert.deepEqual(offsets(await one.history({ limit: 3, reverse: true })), [head, head - 1, head - 2]);
  assert.deepEqual(offsets(await one.history({ limit: 3, reverse: true, since: { offset: 10, epoch } })), [9, 8, 7]);
  const [moved] = (await one.history({ limit: 1, since: { offset: head - 1, epoch } })).publications;
  assert.deepEqual([moved.data.type, moved.data.data.widget.grid_x, moved.data.actor], ['widget.moved', 20, aiko.id]);
  await node.trim(room.channel, 8);
  assert.deepEqual(offsets(await one.history({ limit: 2 })), [8, 9]);
  assert.deepEqual(offsets(await one.history({ limit: 2, since: { offset: 7, epoch } })), [8, 9]);
  for (const since of [{ offset: 6, epoch }, { offset: 10, epoch: 'another' }, { offset: head + 1, epoch }]) {
    assert.equal((await refused(one.history({ limit: 2, since }))).code, 112, JSON.stringify(since));
  }
  assert.equal((await refused(first.history(aiko.channel, { limit: 1 }))).code, 103);
});

test('every script and sign survives the way', async t => {
  const { aiko, room, widget, first, one, two } = await meeting(t);
  const texts = ['日本語の宿題 ✍️', 'עברית ‏ العربية', '👩🏽‍🔬🇯🇵', 'line\nbreak\r\n\ttab', 'a\u2028b\u2029c', '"quoted" \\ / {}', 'a\u0301 ﷽ \u{10FFFF}', '\u0001\u001f\u007f'];
  const list = await aiko.newList('リスト');
  const own = await subscribe(first, aiko.channel);
  for (const text of texts) {
    const { data } = await first.rpc('task.create', { list_id: list.id, description: text });
    assert.equal(data.data.description, text);
    const event = await reach(own, offsetIn(data, aiko.channel));
    assert.equal(event.data.data.description, text);
    await one.publish({ type: 'reaction', data: text });
    assert.equal((await unnumbered(two, 'reaction')).data.data, text);
    const title = offsetIn((await first.rpc('widget.update', { id: widget.id, settings: { [text]: text } })).data, room.channel);
    assert.deepEqual((await reach(two, title)).data.data.settings, { [text]: text });
  }
  const rows = await node.sql(`select description from tasks where list_id = '${list.id}' order by order_index`);
  assert.deepEqual(rows.map(({ description }) => description), texts);
  assert.equal((await refused(first.rpc('task.create', { list_id: list.id, description: 'nul \u0000' }))).code, 1422);
  assert.equal(first.log.count('connecting'), 1);
});

test('errors of commands carry the word and the sentence of REST', async t => {
  const { ben, room, widget, first, second } = await meeting(t);
  for (const [calling, code, message] of [
    [() => first.rpc('task.fly', {}), 104, /^method_not_found/],
    [() => first.rpc('', {}), 104, /^method_not_found/],
    [() => first.rpc('widget.move', { id: randomUUID(), grid_x: 1, grid_y: 1 }), 1404, /^not_found/],
    [() => first.rpc('member.add', { workspace_id: room.id, user_id: ben.id }), 1409, /^already_member: /],
    [() => first.rpc('widget.move', { id: widget.id, grid_x: 1e6, grid_y: 1 }), 1422, /^invalid_field: grid_x /],
    [() => first.rpc('task_list.create', { name: '' }), 1422, /^invalid_field: name /],
    [() => second.rpc('workspace.delete', { id: room.id }), 1403, /^owner_only: /],
    [() => first.rpc('task_list.create', { name: 'x', op: 'no uuid' }), 1400, /^bad_op: /],
  ]) {
    const error = await refused(calling());
    assert.deepEqual([error.code, Boolean(error.temporary)], [code, false], JSON.stringify(error));
    assert.match(error.message, message);
  }
  for (const strange of [null, [], 'text', 5, { name: { deep: [] } }, { name: 'x', more: 1 }]) {
    const { code } = await refused(first.rpc('task_list.create', strange));
    assert.ok([1400, 1422].includes(code), `${JSON.stringify(strange)}: ${code}`);
  }
  assert.equal(first.log.count('connecting'), 1);
});

test('too many commands: refused for now, the connection goes on', async t => {
  const at = await newNode({ commands_per_second: 1 });
  const person = await signUp(at);
  const client = newClient(t, person);
  newSub(client, person.channel).subscribe();
  client.connect();
  await client.ready();
  client.startBatching();
  const calls = range(1, 1_300).map(() => client.rpc('no.such', {}).catch(error => error));
  client.stopBatching();
  const codes = (await Promise.all(calls)).map(({ code, temporary }) => `${code} ${Boolean(temporary)}`);
  const counted = Object.fromEntries([...new Set(codes)].map(code => [code, codes.filter(other => other === code).length]));
  assert.deepEqual(Object.keys(counted).sort(), ['104 false', '111 true'], JSON.stringify(counted));
  assert.ok(counted['104 false'] >= 1_190 && counted['111 true'] >= 50, JSON.stringify(counted));
  assert.equal(client.log.count('connecting'), 1);
});
