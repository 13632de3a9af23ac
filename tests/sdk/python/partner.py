"""The Python side of a meeting: does what lines on its standard input ask for and answers each with a line.

`[method, argument]` → `[true, result]` or `[false, text]`. The tests in `../js/together.test.mjs` speak to it.
"""

import asyncio
import json
import os
import sys

from centrifuge import Client, StreamPosition, SubscriptionEventHandler


class Partner(SubscriptionEventHandler):
    def __init__(self):
        self.publications, self.news = [], asyncio.Condition()

    async def on_publication(self, ctx):
        async with self.news:
            self.publications.append({"offset": ctx.pub.offset, "data": ctx.pub.data})
            self.news.notify_all()

    async def join(self, given):
        address = os.environ["STUDYHALL_URL"].replace("http", "ws", 1) + "/connection/websocket"
        self.client = Client(address, token=given["token"], proxy=None)
        position = StreamPosition(given["offset"], given["epoch"])

        async def get_state(_):
            return position

        self.sub = self.client.new_subscription(given["channel"], events=self, get_state=get_state)
        await self.sub.subscribe()
        await self.client.connect()
        await self.sub.ready()

    async def publish(self, data):
        await self.sub.publish(data)

    async def rpc(self, given):
        return (await self.client.rpc(given["method"], given["data"])).data

    async def until(self, given):
        """Waits for the event with this offset, or the publication of this type and value."""

        def fits(seen):
            if "offset" in given:
                return seen["offset"] == given["offset"]
            return seen["data"].get("type") == given["type"] and seen["data"].get("data") == given["data"]

        async with self.news:
            await asyncio.wait_for(self.news.wait_for(lambda: any(map(fits, self.publications))), 20)
        return self.publications

    async def presence(self, _):
        return sorted((await self.sub.presence()).clients)

    async def leave(self, _):
        await self.client.disconnect()

    async def come_back(self, _):
        await self.client.connect()
        await self.sub.ready()


async def main():
    partner, loop = Partner(), asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        method, given = json.loads(line)
        try:
            answer = [True, await getattr(partner, method)(given)]
        except Exception as error:
            answer = [False, repr(error)]
        print(json.dumps(answer), flush=True)


asyncio.run(main())
