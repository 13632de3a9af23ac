"""What the tests share: people over REST, clients that are watched, and the server's side."""

import asyncio
import functools
import itertools
import json
import os
import unittest
import urllib.error
import urllib.request

from centrifuge import Client, ClientEventHandler, StreamPosition, SubscriptionEventHandler

# Long enough for a loaded machine; a test that waits this long has failed.
PATIENCE = 20.0
PASSWORD = "correct horse battery"
URL = os.environ["STUDYHALL_URL"]
CONTROL = os.environ.get("STUDYHALL_CONTROL", "")

FORMAT = os.environ.get("STUDYHALL_FORMAT", "json")

# Straight to this machine, whatever proxies the environment names.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _request(method, url, body, headers):
    data = body.encode() if isinstance(body, str) else None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, method=method, headers=headers)
    try:
        with _direct.open(request, timeout=PATIENCE) as answer:
            return answer.status, dict(answer.headers), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read().decode()


async def request(method, url, body=None, headers=None):
    headers = {"content-type": "application/json", **(headers or {})}
    return await asyncio.to_thread(_request, method, url, body, headers)


# --- the server's side


async def _control(path, body=None):
    kind = "text/plain" if isinstance(body, str) else "application/json"
    status, _, text = await request("POST", CONTROL + path, {} if body is None else body, {"content-type": kind})
    assert status == 200, f"{path}: {text}"
    return json.loads(text)


class Node:
    def __init__(self, number, url):
        self.number, self.url = number, url

    async def sql(self, query):
        """The rows of a query."""
        return await _control(f"/nodes/{self.number}/sql", query)

    async def execute(self, statement):
        """How many rows a statement changed."""
        return (await _control(f"/nodes/{self.number}/execute", statement))["rows"]

    async def drain(self):
        await _control(f"/nodes/{self.number}/drain")

    async def trim(self, channel, keep_from):
        await self.sql(f"select trim_channel('{channel}', {keep_from})")


node = Node(0, URL)


async def new_node(beside=None):
    made = await _control("/nodes", {} if beside is None else {"beside": beside.number})
    return Node(made["node"], made["url"])


class Proxy:
    """A road to a node."""

    def __init__(self, number, url):
        self.number, self.url = number, url

    async def act(self, action):
        """`cut`, `close`, `open`, `hold`, `mute`, `freeze`"""
        await _control(f"/proxies/{self.number}/{action}")

    async def lead_to(self, other):
        await _control(f"/proxies/{self.number}/lead/{other.number}")


async def new_proxy(to=node):
    made = await _control("/proxies", {"node": to.number})
    return Proxy(made["proxy"], made["url"])


# --- people


class Person:
    def __init__(self, signed_in, url, cookie):
        self.id, self.username = signed_in["user"]["id"], signed_in["user"]["username"]
        self.token, self.url, self.cookie = signed_in["token"], url, cookie
        self.channel = f"user:{self.id}"

    async def call(self, method, path, body=None):
        headers = {"authorization": f"Bearer {self.token}"}
        status, _, text = await request(method, f"{self.url}/api/v1{path}", body, headers)
        assert 200 <= status < 300, f"{method} {path}: {status} {text}"
        return json.loads(text) if text else None

    async def get(self, path):
        return await self.call("GET", path)

    async def post(self, path, body):
        return await self.call("POST", path, body)

    async def new_list(self):
        return (await self.post("/task-lists", {"name": "Today"}))["data"]

    async def new_task(self, task_list, description):
        """The offset of the event on my channel, and the task."""
        made = await self.post(f"/task-lists/{task_list['id']}/tasks", {"description": description})
        return offset_in(made, self.channel), made["data"]

    async def new_room(self, settings=None):
        room = (await self.post("/workspaces", {"name": "Library", "settings": settings or {}}))["data"]
        return {**room, "channel": f"workspace:{room['id']}"}

    async def new_widget(self, room):
        place = {"grid_x": 0, "grid_y": 0, "grid_w": 2, "grid_h": 2}
        return (await self.post(f"/workspaces/{room['id']}/widgets", {"type": "clock", **place}))["data"]

    async def let_in(self, room, person):
        await self.call("PUT", f"/workspaces/{room['id']}/members/{person.id}")

    async def position(self, channel=None, path="/dashboard"):
        """Where a channel stands, by a page that shows it."""
        page = await self.get(path)
        found = next(at for at in page["positions"] if at["channel"] == (channel or self.channel))
        return StreamPosition(offset=found["offset"], epoch=found["epoch"])

    async def again(self):
        """One more sign-in of the same person."""
        return await _signed_in(self.url, "/sessions", {"username": self.username, "password": PASSWORD})


def offset_in(answer, channel):
    return next(at["offset"] for at in answer["positions"] if at["channel"] == channel)


async def _signed_in(url, path, body):
    status, headers, text = await request("POST", f"{url}/api/v1{path}", body)
    assert status == 201, text
    cookie = next(value for name, value in headers.items() if name.lower() == "set-cookie")
    return Person(json.loads(text), url, cookie.split(";")[0])


_people = itertools.count(1)


async def sign_up(at=node):
    username = f"py-{os.getpid()}-{next(_people)}"
    return await _signed_in(at.url, "/accounts", {"username": username, "password": PASSWORD})


async def expire(person, when="interval '-1 second'"):
    """Marks sign-ins as run out. Do it before their first use: answers are believed for some seconds."""
    changed = await node.execute(f"update sign_ins set expires_at = now() + {when} where user_id = '{person.id}'")
    assert changed > 0


# --- clients


class Log:
    """Everything that was said, in order; `next` hands out each once, the oldest that is acceptable first."""

    def __init__(self):
        self.seen, self._handed, self._news = [], set(), asyncio.Condition()

    async def add(self, name, context):
        async with self._news:
            self.seen.append((name, context))
            self._news.notify_all()

    def all(self, name):
        return [context for said, context in self.seen if said == name]

    async def next(self, name, accept=lambda context: True):
        def take():
            for index, (said, context) in enumerate(self.seen):
                if said == name and index not in self._handed and accept(context):
                    self._handed.add(index)
                    return context
            return None

        async def wait():
            async with self._news:
                while (found := take()) is None:
                    await self._news.wait()
                return found

        try:
            return await asyncio.wait_for(wait(), PATIENCE)
        except asyncio.TimeoutError:
            raise AssertionError(f"no {name} after {self.seen[-8:]}") from None


def _handler(base, log, names):
    def method(name):
        async def on(_, context):
            await log.add(name, context)

        return on

    return type("Watching", (base,), {f"on_{name}": method(name) for name in names})()


class _Spoken(Client):
    """Over protobuf the SDK hands out bytes and takes bytes: reads and writes them as an application would."""

    def _decode_data(self, data):
        data = super()._decode_data(data)
        return json.loads(data) if isinstance(data, bytes) else data

    def _encode_data(self, data):
        return super()._encode_data(json.dumps(data).encode())


_CLIENTS = {"json": Client, "protobuf": functools.partial(_Spoken, use_protobuf=True)}


def new_client(test, person=None, url=None, **options):
    """A client of the SDK that is ended with the test. Not connected yet."""
    url = url or (person.url if person else URL)
    if person and "token" not in options:
        options["token"] = person.token
    # Of commands: a machine may be busy.
    options.setdefault("timeout", 15.0)
    log = Log()
    events = _handler(ClientEventHandler, log, ["connecting", "connected", "disconnected", "error"])
    address = url.replace("http", "ws", 1) + "/connection/websocket"
    delays = {"min_reconnect_delay": 0.02, "max_reconnect_delay": 0.2}
    client = _CLIENTS[FORMAT](address, events=events, proxy=None, **delays, **options)
    client.log = log
    test.addAsyncCleanup(client.disconnect)
    return client


async def connect(test, person=None, **options):
    client = new_client(test, person, **options)
    await client.connect()
    await client.ready(PATIENCE)
    return client


def new_sub(client, channel, **options):
    log = Log()
    names = ["subscribing", "subscribed", "unsubscribed", "publication", "join", "leave", "error"]
    events = _handler(SubscriptionEventHandler, log, names)
    delays = {"min_resubscribe_delay": 0.02, "max_resubscribe_delay": 0.2}
    sub = client.new_subscription(channel, events=events, **delays, **options)
    sub.log = log
    return sub


async def subscribe(client, channel, **options):
    sub = new_sub(client, channel, **options)
    await sub.subscribe()
    await sub.log.next("subscribed")
    return sub


def offsets(sub):
    """Numbers of the events that the app has seen."""
    return [context.pub.offset for context in sub.log.all("publication") if context.pub.offset > 0]


async def reach(sub, offset):
    """Waits for the event with this number."""
    return (await sub.log.next("publication", lambda context: context.pub.offset == offset)).pub


async def unnumbered(sub, kind):
    """Waits for what is published without a number."""
    fits = lambda context: context.pub.offset == 0 and context.pub.data["type"] == kind
    return (await sub.log.next("publication", fits)).pub.data


def upto(first, last):
    return list(range(first, last + 1))


async def changes(person, task_list, count):
    """Makes changes over REST, eight at a time; what each number has to be."""
    expected, left = {}, iter(range(count))

    async def worker():
        for number in left:
            offset, task = await person.new_task(task_list, f"task {number}")
            expected[offset] = task["id"]

    await asyncio.gather(*(worker() for _ in range(8)))
    return expected


class TestCase(unittest.IsolatedAsyncioTestCase):
    maxDiff = None

    async def refused(self, awaitable):
        """The error of the server."""
        from centrifuge import ReplyError

        with self.assertRaises(ReplyError) as caught:
            await awaitable
        return caught.exception
