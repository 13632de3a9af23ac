"""Connecting, by token or cookie, and how connections end."""

import asyncio
import unittest

from centrifuge import ClientDisconnectedError, ClientState, OperationTimeoutError

from world import (
    PASSWORD, URL, TestCase, changes, connect, expire, new_client, new_node, new_proxy, new_sub, node, offsets, reach, sign_up,
    subscribe, upto,
)


class Connecting(TestCase):
    async def test_a_connection_knows_who_it_is(self):
        person = await sign_up()
        client = await connect(self, person)
        context = await client.log.next("connected")
        self.assertEqual(context.data["user_id"], person.id)
        self.assertGreater(context.data["server_time"], 1_700_000_000_000)
        self.assertTrue(context.client)

    async def test_connect_and_disconnect_in_a_loop(self):
        client = new_client(self, await sign_up())
        for _ in range(20):
            await client.connect()
            await client.log.next("connected")
            await client.disconnect()
            self.assertEqual((await client.log.next("disconnected")).code, 0)
        self.assertEqual(client.log.all("error"), [])

    async def test_disconnect_before_the_connection_stands(self):
        client = new_client(self, await sign_up())
        for round_ in range(20):
            connecting = asyncio.ensure_future(client.connect())
            for _ in range(round_ % 5):
                await asyncio.sleep(0)
            await client.disconnect()
            await connecting
        await client.connect()
        await client.ready()
        self.assertEqual(client.state, ClientState.CONNECTED)

    async def test_an_rpc_before_the_connection_stands_waits_for_it(self):
        person = await sign_up()
        client = new_client(self, person)
        with self.assertRaises(ClientDisconnectedError):
            await client.rpc("task_list.create", {"name": "Early"})
        connecting = asyncio.ensure_future(client.connect())
        await client.log.next("connecting")
        result = await client.rpc("task_list.create", {"name": "Today"})
        await connecting
        self.assertEqual(result.data["data"]["name"], "Today")
        rows = await node.sql(f"select name from task_lists where user_id = '{person.id}'")
        self.assertEqual(rows, [{"name": "Today"}])

    async def test_a_token_getter_that_fails_is_asked_again(self):
        person = await sign_up()
        asked = 0

        async def get_token():
            nonlocal asked
            asked += 1
            if asked < 3:
                raise RuntimeError("the sign-in service is down")
            return person.token

        client = await connect(self, get_token=get_token)
        self.assertEqual(asked, 3)
        self.assertEqual([context.code for context in client.log.all("error")], [5, 5])

    async def test_bad_credentials_end_it_for_ever(self):
        person = await sign_up()
        for token in ["nonsense", "shs_" + "A" * 43, person.token + "x", ""]:
            client = new_client(self, token=token)
            await client.connect()
            ended = await client.log.next("disconnected")
            self.assertEqual((ended.code, ended.reason), (101, "unauthorized"))
            self.assertEqual(client.state, ClientState.DISCONNECTED)

    async def test_an_expired_token_is_replaced_by_the_getter(self):
        person = await sign_up()
        await expire(person)
        fresh = await person.again()

        async def get_token():
            return fresh.token

        client = await connect(self, person, get_token=get_token)
        self.assertEqual([context.error.code for context in client.log.all("error")], [109])

    async def test_an_expired_token_without_a_getter_is_the_end(self):
        person = await sign_up()
        await expire(person)
        client = new_client(self, person)
        await client.connect()
        ended = await client.log.next("disconnected")
        self.assertEqual((ended.code, ended.reason), (1, "unauthorized"))

    async def test_a_sign_in_that_runs_out_while_connected_is_replaced(self):
        person = await sign_up()
        await expire(person, "interval '2 seconds'")
        task_list = await person.new_list()
        fresh = await person.again()

        async def get_token():
            return fresh.token

        client = await connect(self, person, get_token=get_token)
        sub = await subscribe(client, person.channel)
        again = await client.log.next("connecting", lambda context: context.code == 3005)
        self.assertEqual(again.reason, "connection expired")
        offset, _ = await fresh.new_task(task_list, "meanwhile")
        await reach(sub, offset)
        self.assertTrue((await sub.log.next("subscribed", lambda context: context.was_recovering)).recovered)

    async def test_the_cookie_counts_with_an_allowed_origin_only(self):
        person = await sign_up()
        client = await connect(self, headers={"cookie": person.cookie, "origin": URL})
        self.assertEqual((await client.log.next("connected")).data["user_id"], person.id)
        without = new_client(self, headers={"cookie": person.cookie})
        await without.connect()
        self.assertEqual((await without.log.next("disconnected")).code, 101)
        foreign = new_client(self, person, headers={"cookie": person.cookie, "origin": "https://evil.example"})
        await foreign.connect()
        refused = await foreign.log.next("error")
        self.assertIn("403", str(refused.error))


class Ending(TestCase):
    async def stays(self, client, code, reason):
        ended = await client.log.next("disconnected")
        self.assertEqual((ended.code, ended.reason), (code, reason))
        self.assertEqual(client.state, ClientState.DISCONNECTED)
        self.assertEqual(len(client.log.all("connected")), 1)

    async def test_signed_out_elsewhere(self):
        person = await sign_up()
        other = await person.again()
        client = await connect(self, person)
        sessions = (await other.get("/sessions"))["items"]
        (mine,) = [session["id"] for session in sessions if not session["current"]]
        await other.call("DELETE", f"/sessions/{mine}")
        await self.stays(client, 4501, "signed out")
        await client.connect()
        self.assertEqual((await client.log.next("disconnected")).code, 101)

    async def test_password_changed(self):
        person = await sign_up()
        other = await person.again()
        mine, theirs = await connect(self, person), await connect(self, other)
        await person.post("/me/password", {"current_password": PASSWORD, "new_password": "another horse battery"})
        await self.stays(theirs, 4502, "password changed")
        self.assertEqual(mine.state, ClientState.CONNECTED)

    async def test_a_node_that_drains(self):
        old = await new_node()
        successor = await new_node(beside=old)
        proxy = await new_proxy(old)
        person = await sign_up(old)
        task_list = await person.new_list()
        client = await connect(self, person, url=proxy.url)
        sub = await subscribe(client, person.channel)
        start = sub.log.all("subscribed")[0].stream_position.offset
        await proxy.lead_to(successor)
        # A node that goes away takes no commands any more.
        person.url = successor.url
        await asyncio.gather(old.drain(), changes(person, task_list, 20))
        again = await client.log.next("connecting", lambda context: context.code > 0)
        self.assertEqual((again.code, again.reason), (3001, "shutdown"))
        await reach(sub, start + 20)
        self.assertEqual(offsets(sub), upto(start + 1, start + 20))
        self.assertEqual(client.log.all("disconnected"), [])

    async def test_a_server_that_falls_silent(self):
        person = await sign_up()
        task_list = await person.new_list()
        proxy = await new_proxy()
        client = await connect(self, person, url=proxy.url, max_server_ping_delay=0.3)
        sub = await subscribe(client, person.channel)
        await proxy.act("freeze")
        offset, _ = await person.new_task(task_list, "unheard")
        again = await client.log.next("connecting", lambda context: context.code == 2)
        self.assertEqual(again.reason, "no ping")
        await reach(sub, offset)
        self.assertEqual(offsets(sub), [offset])

    async def test_a_lost_connection_comes_back(self):
        person = await sign_up()
        proxy = await new_proxy()
        client = await connect(self, person, url=proxy.url)
        await client.log.next("connected")
        await proxy.act("close")
        await client.log.next("connecting", lambda context: context.code == 1)
        await proxy.act("open")
        await client.log.next("connected")

    async def test_commands_without_an_answer_time_out_and_the_connection_goes_on(self):
        person = await sign_up()
        proxy = await new_proxy()
        client = await connect(self, person, url=proxy.url)
        await proxy.act("hold")
        with self.assertRaises(OperationTimeoutError):
            await client.rpc("task_list.create", {"name": "Slow"}, timeout=0.3)
        await proxy.act("open")
        self.assertEqual((await client.rpc("task_list.create", {"name": "Next"})).data["data"]["name"], "Next")
        names = await node.sql(f"select name from task_lists where user_id = '{person.id}' order by created_at")
        self.assertEqual([row["name"] for row in names], ["Slow", "Next"])
        sub = new_sub(client, person.channel)
        await sub.subscribe()
        await sub.log.next("subscribed")


if __name__ == "__main__":
    unittest.main()
