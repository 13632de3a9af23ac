"""Subscribing, coming back, and loading state."""

import asyncio
import unittest

from centrifuge import ClientState, StreamPosition, SubscriptionState

from world import (
    TestCase, changes, connect, new_client, new_node, new_proxy, new_sub, node, offset_in, offsets, reach, sign_up,
    subscribe, upto,
)


def loader(person, channel=None, path="/dashboard"):
    """A get_state that counts."""

    async def get_state(_):
        get_state.count += 1
        get_state.position = await person.position(channel, path)
        return get_state.position

    get_state.count = 0
    return get_state


def fixed(position):
    async def get_state(_):
        return position

    return get_state


class Subscribing(TestCase):
    async def test_subscribe_and_unsubscribe_in_a_loop(self):
        person = await sign_up()
        task_list = await person.new_list()
        client = await connect(self, person)
        sub, numbers = new_sub(client, person.channel), []
        for round_ in range(15):
            await sub.subscribe()
            await sub.log.next("subscribed")
            offset, _ = await person.new_task(task_list, f"round {round_}")
            numbers.append(offset)
            await reach(sub, offset)
            await sub.unsubscribe()
            self.assertEqual((await sub.log.next("unsubscribed")).code, 0)
        self.assertEqual(offsets(sub), numbers)

    async def test_subscribe_and_unsubscribe_without_waiting(self):
        person = await sign_up()
        task_list = await person.new_list()
        client = await connect(self, person)
        sub = new_sub(client, person.channel)
        for round_ in range(30):
            await sub.subscribe()
            for _ in range(round_ % 4):
                await asyncio.sleep(0)
            await sub.unsubscribe()
        await sub.subscribe()
        await sub.ready()
        offset, _ = await person.new_task(task_list, "after all that")
        await reach(sub, offset)
        self.assertEqual(offsets(sub).count(offset), 1)
        self.assertEqual(sub.log.all("error"), [])
        self.assertEqual(len(client.log.all("connecting")), 1)

    async def test_unsubscribe_between_the_connect_command_and_its_reply(self):
        person = await sign_up()
        task_list = await person.new_list()
        proxy = await new_proxy()
        # The answer to the upgrade comes through, the reply to the connect command does not.
        await proxy.act("mute")
        client = new_client(self, person, url=proxy.url)
        sub = new_sub(client, person.channel)
        await sub.subscribe()
        connecting = asyncio.ensure_future(client.connect())
        await client.log.next("connecting")
        await sub.unsubscribe()
        self.assertEqual(client.state, ClientState.CONNECTING)
        await proxy.act("open")
        await client.ready()
        await connecting
        self.assertEqual(sub.state, SubscriptionState.UNSUBSCRIBED)
        await sub.subscribe()
        await sub.ready()
        offset, _ = await person.new_task(task_list, "heard")
        await reach(sub, offset)
        self.assertEqual(len(client.log.all("connecting")), 1)

    async def test_200_subscriptions_on_one_connection(self):
        person = await sign_up()
        proxy = await new_proxy()
        maker = await connect(self, person)
        made = await asyncio.gather(*(maker.rpc("workspace.create", {"name": f"room {n}"}) for n in range(200)))
        rooms = [answer.data["data"] for answer in made]
        client = new_client(self, person, url=proxy.url)
        subs = [new_sub(client, f"workspace:{room['id']}") for room in rooms]
        for sub in subs:
            await sub.subscribe()
        await client.connect()
        await asyncio.gather(*(sub.log.next("subscribed") for sub in subs))

        async def rename(name):
            await asyncio.gather(*(maker.rpc("workspace.update", {"id": room["id"], "name": name}) for room in rooms))

        await rename("once")
        await asyncio.gather(*(sub.log.next("publication") for sub in subs))
        await proxy.act("close")
        await client.log.next("connecting", lambda context: context.code == 1)
        await rename("twice")
        await proxy.act("open")
        await asyncio.gather(*(sub.log.next("publication") for sub in subs))
        for sub in subs:
            self.assertEqual(offsets(sub), [3, 4])
            names = [context.pub.data["data"]["name"] for context in sub.log.all("publication")]
            self.assertEqual(names, ["once", "twice"])
            self.assertTrue(sub.log.all("subscribed")[-1].recovered)

    async def test_channels_that_are_not_for_me(self):
        person, other = await sign_up(), await sign_up()
        room = await other.new_room()
        client = await connect(self, person)
        for channel, code, reason in [
            (other.channel, 103, "permission_denied"),
            (room["channel"], 102, "unknown_channel"),
            ("news", 102, "unknown_channel"),
        ]:
            sub = new_sub(client, channel)
            await sub.subscribe()
            refused = await sub.log.next("unsubscribed")
            self.assertEqual((refused.code, refused.reason), (code, reason))

    async def test_a_token_getter_of_a_subscription_that_fails_is_asked_again(self):
        person = await sign_up()
        client = await connect(self, person)
        asked = 0

        async def get_token(_):
            nonlocal asked
            asked += 1
            if asked < 3:
                raise RuntimeError("not now")
            return "token"

        sub = await subscribe(client, person.channel, get_token=get_token)
        self.assertEqual([context.code for context in sub.log.all("error")], [8, 8])

    async def test_put_out_of_a_room(self):
        owner, guest = await sign_up(), await sign_up()
        room = await owner.new_room()
        await owner.let_in(room, guest)
        client = await connect(self, guest)
        sub = await subscribe(client, room["channel"])
        removed = await owner.call("DELETE", f"/workspaces/{room['id']}/members/{guest.id}")
        out = await sub.log.next("unsubscribed")
        self.assertEqual((out.code, out.reason), (2101, "removed from the room"))
        self.assertEqual(offsets(sub), [offset_in(removed, room["channel"])])
        await sub.subscribe()
        self.assertEqual((await sub.log.next("unsubscribed")).code, 102)


class Recovering(TestCase):
    async def asyncSetUp(self):
        self.person = await sign_up()
        self.list = await self.person.new_list()
        self.start = await self.person.position()

    async def test_200_changes_while_disconnected_exactly_those_once_in_order(self):
        client = await connect(self, self.person)
        sub = await subscribe(client, self.person.channel)
        await client.disconnect()
        expected = await changes(self.person, self.list, 200)
        await client.connect()
        first, last = self.start.offset + 1, self.start.offset + 200
        await reach(sub, last)
        offset, _ = await self.person.new_task(self.list, "and on it goes")
        await reach(sub, offset)
        self.assertEqual(offsets(sub), upto(first, last + 1))
        for context in sub.log.all("publication")[:200]:
            self.assertEqual(context.pub.data["data"]["id"], expected[context.pub.offset])
        recovered = sub.log.all("subscribed")[-1]
        self.assertEqual((recovered.was_recovering, recovered.recovered), (True, True))
        self.assertEqual(recovered.stream_position.offset, self.start.offset)

    async def test_a_cut_in_the_middle_of_a_stream_of_changes(self):
        proxy = await new_proxy()
        client = await connect(self, self.person, url=proxy.url)
        sub = await subscribe(client, self.person.channel)
        changing = asyncio.ensure_future(changes(self.person, self.list, 120))
        for reached in (20, 50, 80):
            await sub.log.next("publication", lambda context: context.pub.offset >= self.start.offset + reached)
            await proxy.act("cut")
            await client.log.next("connecting", lambda context: context.code == 1)
        await changing
        await reach(sub, self.start.offset + 120)
        self.assertEqual(offsets(sub), upto(self.start.offset + 1, self.start.offset + 120))

    async def test_after_unsubscribe_and_subscribe(self):
        client = await connect(self, self.person)
        sub = await subscribe(client, self.person.channel)
        await sub.unsubscribe()
        await changes(self.person, self.list, 30)
        await sub.subscribe()
        await reach(sub, self.start.offset + 30)
        self.assertEqual(offsets(sub), upto(self.start.offset + 1, self.start.offset + 30))

    async def test_trimmed_while_away_without_get_state(self):
        client = await connect(self, self.person)
        sub = await subscribe(client, self.person.channel)
        await client.disconnect()
        await changes(self.person, self.list, 10)
        await node.trim(self.person.channel, self.start.offset + 5)
        await client.connect()
        told = await sub.log.next("subscribed", lambda context: context.was_recovering)
        self.assertFalse(told.recovered)
        self.assertEqual(told.stream_position.offset, self.start.offset + 10)
        await changes(self.person, self.list, 1)
        await reach(sub, self.start.offset + 11)
        self.assertEqual(offsets(sub), [self.start.offset + 11])

    async def test_get_state_first_not_on_a_good_recovery_again_when_the_position_is_gone(self):
        client = await connect(self, self.person)
        get_state = loader(self.person)
        sub = await subscribe(client, self.person.channel, get_state=get_state)
        self.assertEqual(get_state.count, 1)
        await client.disconnect()
        missed, _ = await self.person.new_task(self.list, "missed")
        await client.connect()
        await reach(sub, missed)
        self.assertEqual(get_state.count, 1)
        await client.disconnect()
        await changes(self.person, self.list, 5)
        await node.trim(self.person.channel, missed + 4)
        await client.connect()
        await sub.log.next("subscribed", lambda context: context.stream_position.offset == missed + 5)
        self.assertEqual(get_state.count, 2)
        self.assertEqual(sub.log.all("error"), [])
        offset, _ = await self.person.new_task(self.list, "next")
        await reach(sub, offset)
        self.assertEqual(offsets(sub), [missed, offset])

    async def test_get_state_that_fails_is_called_again(self):
        client = await connect(self, self.person)
        load = loader(self.person)
        calls = 0

        async def get_state(channel):
            nonlocal calls
            calls += 1
            if calls < 3:
                raise RuntimeError("the page did not load")
            return await load(channel)

        sub = await subscribe(client, self.person.channel, get_state=get_state)
        self.assertEqual(calls, 3)
        self.assertEqual([context.code for context in sub.log.all("error")], [15, 15])

    async def test_positions_from_get_state(self):
        await changes(self.person, self.list, 10)
        head, epoch = self.start.offset + 10, self.start.epoch
        await node.trim(self.person.channel, self.start.offset + 4)
        for offset in (self.start.offset + 3, head - 1, head):
            client = await connect(self, self.person)
            sub = await subscribe(client, self.person.channel, get_state=fixed(StreamPosition(offset, epoch)))
            if offset < head:
                await reach(sub, head)
            self.assertEqual(offsets(sub), upto(offset + 1, head))
            await client.disconnect()
        for position in [
            StreamPosition(self.start.offset + 2, epoch), StreamPosition(head + 1, epoch), StreamPosition(head, "another"),
            StreamPosition(0, "_"), StreamPosition(head, ""),
        ]:
            client = await connect(self, self.person)
            given = [position]

            async def get_state(_):
                return given.pop() if given else await self.person.position()

            sub = await subscribe(client, self.person.channel, get_state=get_state)
            self.assertEqual(given, [])
            self.assertEqual(sub.log.all("subscribed")[0].stream_position, StreamPosition(head, epoch))
            self.assertEqual((offsets(sub), sub.log.all("error")), ([], []))
            await client.disconnect()

    async def test_a_page_that_is_loaded_while_it_changes(self):
        going = True

        async def changing():
            while going:
                await self.person.new_task(self.list, "one more")

        changers = [asyncio.ensure_future(changing()) for _ in range(2)]
        readers = []
        for _ in range(10):
            client = await connect(self, self.person)
            get_state = loader(self.person)
            sub = await subscribe(client, self.person.channel, get_state=get_state)
            await sub.log.next("publication")
            readers.append((sub, get_state))
        going = False
        await asyncio.gather(*changers)
        last, _ = await self.person.new_task(self.list, "the end")
        for sub, get_state in readers:
            await reach(sub, last)
            self.assertEqual(offsets(sub), upto(get_state.position.offset + 1, last))
            self.assertEqual(get_state.count, 1)

    async def test_a_restored_database(self):
        at = await new_node()
        person = await sign_up(at)
        client = await connect(self, person)
        get_state = loader(person)
        sub = await subscribe(client, person.channel, get_state=get_state)
        await at.execute("update log_epoch set epoch = 'restored'")
        # Whoever comes next brings the news of it.
        await subscribe(await connect(self, person), person.channel)
        self.assertEqual((await client.log.next("connecting", lambda context: context.code > 0)).code, 3010)
        await sub.log.next("subscribed", lambda context: context.stream_position.epoch == "restored")
        self.assertEqual((get_state.count, sub.log.all("error")), (2, []))


if __name__ == "__main__":
    unittest.main()
