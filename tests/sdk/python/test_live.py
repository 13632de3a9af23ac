"""Drags, reactions, who is here, the log through history, and commands."""

import asyncio
import random
import unittest
import uuid

from centrifuge import StreamPosition

from world import TestCase, connect, node, offset_in, offsets, reach, sign_up, subscribe, unnumbered, upto


def drag(widget, drag_id, grid_x, grid_y=0):
    return {"type": "drag", "key": widget["id"], "data": {"drag_id": drag_id, "grid_x": grid_x, "grid_y": grid_y}}


class Room(TestCase):
    async def asyncSetUp(self):
        self.aiko, self.ben = await sign_up(), await sign_up()
        self.room = await self.aiko.new_room()
        self.channel = self.room["channel"]
        await self.aiko.let_in(self.room, self.ben)
        self.widget = await self.aiko.new_widget(self.room)
        self.first, self.second = await connect(self, self.aiko), await connect(self, self.ben)
        self.one, self.two = await subscribe(self.first, self.channel), await subscribe(self.second, self.channel)

    async def move(self, **fields):
        """The offset of the event."""
        answer = await self.first.rpc("widget.move", {"id": self.widget["id"], **fields})
        return offset_in(answer.data, self.channel)

    async def test_what_has_no_number_does_not_move_the_position(self):
        gesture, numbers = str(uuid.uuid4()), []
        for step in upto(1, 10):
            await self.one.publish(drag(self.widget, gesture, step))
            await self.one.publish({"type": "reaction", "data": step})
            numbers.append(await self.move(grid_x=step, grid_y=0))
        await reach(self.two, numbers[-1])
        reactions = [(await unnumbered(self.two, "reaction"))["data"] for _ in upto(1, 10)]
        self.assertEqual(reactions, upto(1, 10))
        await self.second.disconnect()
        missed = await self.move(grid_x=11, grid_y=0)
        await self.second.connect()
        await reach(self.two, missed)
        self.assertTrue(self.two.log.all("subscribed")[-1].recovered)
        self.assertEqual(offsets(self.two), numbers + [missed])

    async def test_a_drag_its_drop_and_its_late_values(self):
        gesture = str(uuid.uuid4())
        await self.one.publish(drag(self.widget, gesture, 1.25, 2.5))
        seen = await unnumbered(self.two, "drag")
        self.assertEqual(seen, {**drag(self.widget, gesture, 1.25, 2.5), "actor": self.aiko.id})
        held = await self.refused(self.two.publish(drag(self.widget, str(uuid.uuid4()), 9)))
        self.assertEqual(held.code, 1409)
        self.assertTrue(held.message.startswith("widget_held: "))
        offset = await self.move(drag_id=gesture, grid_x=4, grid_y=3)
        moved = (await reach(self.two, offset)).data["data"]
        self.assertEqual((moved["drag_id"], moved["widget"]["grid_x"]), (gesture, 4))
        await self.one.publish(drag(self.widget, gesture, 99))
        await self.one.publish({"type": "nudge"})
        await unnumbered(self.two, "nudge")
        seen = [context.pub.data["data"] for context in self.two.log.all("publication")]
        self.assertFalse([data for data in seen if isinstance(data, dict) and data.get("grid_x") == 99])

    async def test_a_storm_of_drags_ends_the_same_for_all(self):
        seed = random.randrange(2**32)
        print(f"seed {seed}", flush=True)
        dice, gesture = random.Random(seed), str(uuid.uuid4())
        for _ in range(200):
            await self.one.publish(drag(self.widget, gesture, dice.uniform(0, 50), dice.uniform(0, 50)))
        last = await self.move(drag_id=gesture, grid_x=dice.randrange(50), grid_y=dice.randrange(50))
        moved = [(await reach(sub, last)).data["data"]["widget"] for sub in (self.one, self.two)]
        self.assertEqual(moved[0], moved[1])
        (row,) = await node.sql(f"select grid_x, grid_y from immersive_widgets where id = '{self.widget['id']}'")
        self.assertEqual((row["grid_x"], row["grid_y"]), (moved[0]["grid_x"], moved[0]["grid_y"]))

    async def test_who_is_here_people_not_connections(self):
        watcher, late = await sign_up(), await sign_up()
        for person in (watcher, late):
            await self.aiko.let_in(self.room, person)
        third = await connect(self, watcher)
        watching = await subscribe(third, self.channel, join_leave=True)
        here = {person["user"] for person in watching.log.all("subscribed")[0].data["people"]}
        self.assertEqual(here, {self.aiko.id, self.ben.id, watcher.id})
        self.assertEqual((await watching.log.next("join")).info.user, watcher.id)
        device = await connect(self, self.ben)
        await subscribe(device, self.channel)
        stats = await self.one.presence_stats()
        self.assertEqual((stats.num_clients, stats.num_users), (4, 3))
        clients = (await self.one.presence()).clients
        self.assertEqual(set(clients), {self.aiko.id, self.ben.id, watcher.id})
        ben = clients[self.ben.id]
        self.assertEqual((ben.user, ben.client, ben.chan_info), (self.ben.id, self.ben.id, {"devices": 2}))
        self.assertEqual(ben.conn_info["username"], self.ben.username)
        fourth = await connect(self, late)
        await subscribe(fourth, self.channel)
        self.assertEqual((await watching.log.next("join")).info.user, late.id)
        await device.disconnect()
        await fourth.disconnect()
        self.assertEqual((await watching.log.next("leave")).info.user, late.id)
        await self.second.disconnect()
        self.assertEqual((await watching.log.next("leave")).info.user, self.ben.id)
        self.assertEqual(self.one.log.all("join") + self.one.log.all("leave"), [])

    async def test_history_is_the_log(self):
        for step in upto(1, 12):
            await self.move(grid_x=step, grid_y=0)
        position = await self.aiko.position(self.channel, f"/workspaces/{self.room['id']}")
        head, epoch = position.offset, position.epoch
        numbers = lambda result: [pub.offset for pub in result.publications]
        result = await self.one.history(limit=0)
        self.assertEqual((result.publications, result.offset, result.epoch), ([], head, epoch))
        self.assertEqual(numbers(await self.one.history(limit=-1)), upto(1, head))
        self.assertEqual(numbers(await self.one.history(limit=4, since=StreamPosition(5, epoch))), upto(6, 9))
        self.assertEqual(numbers(await self.one.history(limit=2, reverse=True)), [head, head - 1])
        await node.trim(self.channel, 8)
        gone = await self.refused(self.one.history(limit=2, since=StreamPosition(6, epoch)))
        self.assertEqual(gone.code, 112)

    async def test_errors_carry_the_word_and_the_sentence(self):
        me, nobody = self.room["id"], str(uuid.uuid4())
        for method, data, code, word in [
            ("task.fly", {}, 104, "method_not_found"),
            ("widget.move", {"id": nobody, "grid_x": 1, "grid_y": 1}, 1404, "not_found"),
            ("member.add", {"workspace_id": me, "user_id": self.ben.id}, 1409, "already_member: "),
            ("widget.move", {"id": self.widget["id"], "grid_x": 1_000_000, "grid_y": 1}, 1422, "invalid_field: grid_x "),
        ]:
            error = await self.refused(self.first.rpc(method, data))
            self.assertEqual((error.code, error.temporary), (code, False))
            self.assertTrue(error.message.startswith(word), error.message)
        self.assertEqual((await self.refused(self.first.publish(self.channel, {"type": "shout"}))).code, 107)
        self.assertEqual((await self.refused(self.second.publish(self.aiko.channel, {"type": "nudge"}))).code, 103)
        self.assertEqual(len(self.first.log.all("connecting")), 1)

    async def test_every_script_and_sign_survives_the_way(self):
        task_list = await self.aiko.new_list()
        own = await subscribe(self.first, self.aiko.channel)
        for text in ["日本語の宿題 ✍️", "עברית \u200f العربية", "👩🏽‍🔬🇯🇵", "line\nbreak\r\n\ttab", "a\u2028b\u2029c", '"q" \\ / {}', "\U0010ffff"]:
            made = await self.first.rpc("task.create", {"list_id": task_list["id"], "description": text})
            event = await reach(own, offset_in(made.data, self.aiko.channel))
            self.assertEqual(event.data["data"]["description"], text)
            await self.one.publish({"type": "reaction", "data": text})
            self.assertEqual((await unnumbered(self.two, "reaction"))["data"], text)
            rows = await node.sql(f"select description from tasks where id = '{made.data['data']['id']}'")
            self.assertEqual(rows, [{"description": text}])

    async def test_pipelined_commands_keep_their_order(self):
        task_list = await self.aiko.new_list()
        own = await subscribe(self.first, self.aiko.channel)
        making = [self.first.rpc("task.create", {"list_id": task_list["id"], "description": str(n)}) for n in range(50)]
        numbers = [offset_in(made.data, self.aiko.channel) for made in await asyncio.gather(*making)]
        self.assertEqual(numbers, upto(numbers[0], numbers[0] + 49))
        await reach(own, numbers[-1])
        texts = [context.pub.data["data"]["description"] for context in own.log.all("publication")]
        self.assertEqual(texts, [str(n) for n in range(50)])


if __name__ == "__main__":
    unittest.main()
