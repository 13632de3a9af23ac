"""The feed and the pills: likes, comments, follows, presence, in every open tab."""

import asyncio
import unittest

from world import TestCase, connect, offset_in, offsets, reach, sign_up, subscribe, upto


def profile(person):
    return f"profile:{person.id}"


class Feed(TestCase):
    async def asyncSetUp(self):
        self.aiko, self.ben = await sign_up(), await sign_up()
        await self.ben.call("PUT", f"/users/{self.aiko.id}/follow")
        self.post = (await self.aiko.post("/posts", {"content": "Read chapter 4"}))["data"]
        self.channel = profile(self.aiko)
        self.first, self.second = await connect(self, self.aiko), await connect(self, self.ben)
        self.own, self.followed = await subscribe(self.first, self.channel), await subscribe(self.second, self.channel)

    async def seen(self, answer, *subs):
        """What all see under the number that the answer names."""
        number = offset_in(answer, self.channel)
        all_of_them = [(await reach(sub, number)).data for sub in subs or (self.own, self.followed)]
        self.assertTrue(all(one == all_of_them[0] for one in all_of_them))
        return all_of_them[0]

    async def test_likes_are_in_every_tab(self):
        tab = await subscribe(await connect(self, self.ben), self.ben.channel)
        liked = (await self.second.rpc("post.like", {"post_id": self.post["id"]})).data
        event = await self.seen(liked)
        self.assertEqual((event["type"], event["actor"]), ("post.likes_changed", self.ben.id))
        self.assertEqual(event["data"]["posts"], [{"post_id": self.post["id"], "like_count": 1}])
        told = (await reach(tab, offset_in(liked, self.ben.channel))).data
        self.assertEqual((told["type"], told["data"]["author_id"]), ("post.liked", self.aiko.id))
        unliked = await self.ben.call("DELETE", f"/posts/{self.post['id']}/like")
        self.assertEqual((await self.seen(unliked))["data"]["posts"][0]["like_count"], 0)

    async def test_a_comment_comes_changes_and_goes(self):
        made = await self.ben.post(f"/posts/{self.post['id']}/comments", {"body": "Which one?"})
        created = await self.seen(made)
        self.assertEqual((created["type"], created["data"]["comment_count"]), ("comment.created", 1))
        edited = await self.second.rpc("comment.update", {"id": made["data"]["id"], "body": "Which book?"})
        self.assertEqual((await self.seen(edited.data))["data"]["body"], "Which book?")
        gone = await self.aiko.call("DELETE", f"/comments/{made['data']['id']}")
        deleted = await self.seen(gone)
        self.assertEqual((deleted["type"], deleted["data"]["comment_count"]), ("comment.deleted", 0))

    async def test_a_follow_counts(self):
        left = await self.ben.call("DELETE", f"/users/{self.aiko.id}/follow")
        self.assertEqual((await self.seen(left))["data"]["followers_count"], 0)
        back = (await self.second.rpc("user.follow", {"user_id": self.aiko.id})).data
        self.assertEqual((await self.seen(back))["data"]["followers_count"], 1)

    async def test_two_hundred_comments_while_away(self):
        path = f"/posts/{self.post['id']}/comments"
        before = offset_in(await self.ben.post(path, {"body": "seen"}), self.channel)
        await reach(self.followed, before)
        await self.second.disconnect()
        bodies, left = {}, iter(range(200))

        async def worker():
            for number in left:
                made = await self.ben.post(path, {"body": f"missed {number}"})
                bodies[offset_in(made, self.channel)] = made["data"]["body"]

        await asyncio.gather(*(worker() for _ in range(8)))
        await self.second.connect()
        await reach(self.followed, before + 200)
        self.assertTrue(self.followed.log.all("subscribed")[-1].recovered)
        self.assertEqual([number for number in offsets(self.followed) if number > before], upto(before + 1, before + 200))
        missed = [context.pub for context in self.followed.log.all("publication") if context.pub.offset > before]
        self.assertEqual({pub.offset: pub.data["data"]["body"] for pub in missed}, bodies)

    async def test_who_is_blocked_hears_nothing_more(self):
        await self.aiko.call("PUT", f"/users/{self.ben.id}/block")
        ended = await self.followed.log.next("unsubscribed")
        self.assertEqual((ended.code, ended.reason), (2103, "blocked"))


class Pills(TestCase):
    async def test_a_pill_follows_its_person(self):
        aiko, ben = await sign_up(), await sign_up()
        await aiko.call("PUT", f"/users/{ben.id}/follow")
        watching = await subscribe(await connect(self, ben), profile(aiko))

        async def status(want):
            def fits(context):
                data = context.pub.data
                return context.pub.offset == 0 and data["type"] == "presence" and (data["data"] or {}).get("status") == want

            return (await watching.log.next("publication", fits)).pub.data["data"]

        tabs = [await connect(self, aiko), await connect(self, aiko)]
        await status("online")
        await tabs[0].rpc("presence.set", {"status": "idle", "activity": "Reading"})
        await tabs[1].rpc("presence.set", {"status": "idle"})
        self.assertEqual((await status("idle"))["activity"], "Reading")
        await tabs[0].disconnect()
        await tabs[1].rpc("presence.set", {"status": "online"})
        await status("online")
        await tabs[1].disconnect()
        self.assertIsNone((await status("offline"))["activity"])


if __name__ == "__main__":
    unittest.main()
