// The feed and the pills: likes, comments, follows, presence, in every open tab.

import {
  assert, connect, events, newNode, offsetIn, range, reach, signUp, subscribe, test, unnumbered, until,
} from './world.mjs';

const profile = person => `profile:${person.id}`;

/// Somebody with a post, somebody who follows them, and their tabs.
async function following(t) {
  const [aiko, ben] = [await signUp(), await signUp()];
  await ben.put(`/users/${aiko.id}/follow`);
  const post = (await aiko.post('/posts', { content: 'Read chapter 4', tags: ['#Books'] })).data;
  const [first, second] = [await connect(t, aiko), await connect(t, ben)];
  const [own, followed] = [await subscribe(first, profile(aiko)), await subscribe(second, profile(aiko))];
  const tab = await subscribe(await connect(t, ben), ben.channel);
  return { aiko, ben, post, first, second, own, followed, tab };
}

/// What each subscription sees under the number that the answer names.
async function seen(answer, channel, ...subs) {
  const offset = offsetIn(answer, channel);
  return same(await Promise.all(subs.map(sub => reach(sub, offset))));
}

/// What each subscription sees of this kind; the answer names the last number, and a command may have several.
const told = async (type, ...subs) =>
  same(await Promise.all(subs.map(sub => sub.log.next('publication', ({ data }) => data.type === type))));

function same(all) {
  assert.ok(all.every(({ data }) => JSON.stringify(data) === JSON.stringify(all[0].data)));
  return all[0].data;
}

test('a like is in every tab', async t => {
  const { aiko, ben, post, second, own, followed, tab } = await following(t);
  const { data: liked } = await second.rpc('post.like', { post_id: post.id });
  assert.deepEqual(liked.data, { post_id: post.id, like_count: 1, liked_by_me: true });
  const event = await seen(liked, profile(aiko), own, followed);
  assert.deepEqual([event.type, event.actor], ['post.likes_changed', ben.id]);
  assert.deepEqual(event.data, { posts: [{ post_id: post.id, like_count: 1 }] });
  const heard = await seen(liked, ben.channel, tab);
  assert.deepEqual([heard.type, heard.data], ['post.liked', { post_id: post.id, author_id: aiko.id }]);
  const unliked = await ben.delete(`/posts/${post.id}/like`);
  assert.deepEqual((await seen(unliked, profile(aiko), own, followed)).data.posts[0].like_count, 0);
  assert.equal((await seen(unliked, ben.channel, tab)).type, 'post.unliked');
});

test('a comment comes, changes and goes', async t => {
  const { aiko, ben, post, first, own, followed } = await following(t);
  const made = await ben.post(`/posts/${post.id}/comments`, { body: 'Which one?' });
  const created = await seen(made, profile(aiko), own, followed);
  assert.deepEqual([created.type, created.data.body, created.data.author_id], ['comment.created', 'Which one?', ben.id]);
  assert.equal(created.data.comment_count, 1);
  const edited = await ben.patch(`/comments/${made.data.id}`, { body: 'Which book?' });
  const updated = await seen(edited, profile(aiko), own, followed);
  assert.deepEqual([updated.type, updated.data.body, updated.data.comment_count], ['comment.updated', 'Which book?', 1]);
  const { data: gone } = await first.rpc('comment.delete', { id: made.data.id });
  const deleted = await seen(gone, profile(aiko), own, followed);
  assert.deepEqual([deleted.type, deleted.data], ['comment.deleted', { id: made.data.id, post_id: post.id, comment_count: 0 }]);
});

test('posts come, change and go', async t => {
  const { aiko, first, own, followed } = await following(t);
  const { data: made } = await first.rpc('post.create', { content: 'Two hours of proofs', study_duration: '2h' });
  assert.equal((await seen(made, profile(aiko), own, followed)).data.posts_count, 2);
  const created = await told('post.created', own, followed);
  assert.deepEqual([created.data.content, created.data.like_count], ['Two hours of proofs', 0]);
  const edited = await aiko.patch(`/posts/${made.data.id}`, { content: 'Three hours' });
  assert.equal((await seen(edited, profile(aiko), own, followed)).data.content, 'Three hours');
  const gone = await aiko.delete(`/posts/${made.data.id}`);
  assert.equal((await seen(gone, profile(aiko), own, followed)).data.posts_count, 1);
  assert.deepEqual((await told('post.deleted', own, followed)).data, { id: made.data.id });
});

test('a follow counts for everybody who looks', async t => {
  const { aiko, ben, second, own, followed, tab } = await following(t);
  const { data: left } = await second.rpc('user.unfollow', { user_id: aiko.id });
  assert.equal((await seen(left, profile(aiko), own, followed)).data.followers_count, 0);
  const back = await ben.put(`/users/${aiko.id}/follow`);
  const counted = await seen(back, profile(aiko), own, followed);
  assert.deepEqual([counted.type, counted.data.followers_count], ['profile.updated', 1]);
  const heard = () => events(tab).map(({ data }) => data.type).filter(type => type.startsWith('follow.'));
  await until('both are told', () => heard().length === 2);
  assert.deepEqual(heard(), ['follow.deleted', 'follow.created']);
});

test('a pill follows its person', async t => {
  const [aiko, ben] = [await signUp(), await signUp()];
  // Who follows somebody lets them see the pill.
  await aiko.put(`/users/${ben.id}/follow`);
  const watching = await subscribe(await connect(t, ben), profile(aiko));
  const status = want => watching.log.next('publication', ({ offset, data }) =>
    !offset && data.type === 'presence' && data.data?.status === want);
  const tabs = [await connect(t, aiko), await connect(t, aiko)];
  await status('online');
  await tabs[0].rpc('presence.set', { activity: 'Pair programming' });
  const busy = await unnumbered(watching, 'presence');
  assert.deepEqual([busy.data.key, busy.data.data.user_id], [aiko.id, aiko.id]);
  await tabs[0].rpc('presence.set', { status: 'idle' });
  await tabs[1].rpc('presence.set', { status: 'idle' });
  assert.equal((await status('idle')).data.data.activity, 'Pair programming');
  await tabs[1].rpc('presence.set', { status: 'online' });
  await status('online');
  const late = await subscribe(await connect(t, ben), profile(aiko));
  const [slot] = late.log.all('subscribed')[0].data.slots;
  assert.deepEqual([slot.type, slot.data.status, slot.data.activity], ['presence', 'online', 'Pair programming']);
  tabs.forEach(tab => tab.disconnect());
  const gone = await status('offline');
  assert.equal(gone.data.data.activity, null);
  assert.ok(Date.parse(gone.data.data.last_seen_at) > 0);
});

test('two hundred comments while away', async t => {
  const { aiko, ben, post, second, followed } = await following(t);
  const before = offsetIn(await ben.post(`/posts/${post.id}/comments`, { body: 'seen' }), profile(aiko));
  await reach(followed, before);
  second.disconnect();
  const bodies = new Map();
  const left = range(1, 200)[Symbol.iterator]();
  const worker = async () => {
    for (const number of left) {
      const made = await ben.post(`/posts/${post.id}/comments`, { body: `missed ${number}` });
      bodies.set(offsetIn(made, profile(aiko)), made.data.body);
    }
  };
  await Promise.all(range(1, 8).map(worker));
  second.connect();
  await reach(followed, before + 200);
  assert.equal(followed.log.all('subscribed').at(-1).recovered, true);
  const missed = events(followed).filter(({ offset }) => offset > before);
  assert.deepEqual(missed.map(({ offset }) => offset), range(before + 1, before + 200));
  missed.forEach(({ offset, data }) => assert.equal(data.data.body, bodies.get(offset)));
  assert.equal(missed.at(-1).data.data.comment_count, 201);
});

test('who is blocked hears nothing more', async t => {
  const { aiko, ben, post, followed } = await following(t);
  await aiko.put(`/users/${ben.id}/block`);
  const ended = await followed.log.next('unsubscribed');
  assert.deepEqual([ended.code, ended.reason], [2103, 'blocked']);
  await ben.call('GET', `/posts/${post.id}`, undefined, 404);
  await ben.call('GET', `/users/${aiko.id}`, undefined, 404);
});

test('a like is heard on another node', async t => {
  const { aiko, ben, post } = await following(t);
  const there = await newNode({ beside: { number: 0 } });
  const elsewhere = await subscribe(await connect(t, aiko, { url: there.url }), profile(aiko));
  const liked = await ben.put(`/posts/${post.id}/like`);
  const event = await seen(liked, profile(aiko), elsewhere);
  assert.equal(event.data.posts[0].like_count, 1);
});
