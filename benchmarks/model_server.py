"""A model server in a process of its own that costs next to nothing per call, so that a benchmark measures the client.

It speaks OpenAI Chat Completions: waits `delay` seconds, answers with a JSON object, and refuses a random share of the requests with 429
and `Retry-After: 1`. Every other request is on its bill as soon as it is there, whether or not its client lives to see the answer.
`GET /bill` gives the numbers as JSON; `POST /script` with a JSON object of `Script` fields changes how it behaves and empties the bill.

    with model_server() as server:
        server.script(delay=0.05)
        ...
        server.bill().answered
"""

import asyncio
import json
import multiprocessing
import random
import time
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from typing import Any, NamedTuple


@dataclass
class Script:
    """How the server behaves."""

    delay: float = 0.05
    """Seconds before an answer."""
    refused: float = 0.0
    """Share of the requests that get 429, drawn at random."""
    seed: int = 20


class Bill(NamedTuple):
    """What the server saw since its script was set."""

    requests: int
    refused: int
    answered: int
    """Answers that it wrote to a client that was still there."""
    subjects: dict[str, int]
    """What is charged, by the user's last message: every request that came whole and wasn't refused, also when its client dies."""
    seconds: float
    """From the first request for a `question N` to the last answer to one: how long the calls took, without starting up and winding up."""


class ModelServer(NamedTuple):
    """A running server."""

    port: int

    @property
    def base_url(self) -> str:
        """Address for an OpenAI client."""
        return f"http://127.0.0.1:{self.port}/v1"

    def script(self, **changes: Any) -> None:
        """Behaves like this from now on, with an empty bill."""
        body = json.dumps(asdict(Script(**changes))).encode()
        with urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{self.port}/script", body), timeout=10) as reply:
            reply.read()

    def bill(self) -> Bill:
        """What was asked and answered since."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/bill", timeout=10) as reply:
            return Bill(**json.loads(reply.read()))


@contextmanager
def model_server() -> Generator[ModelServer]:
    """Runs the server in a child process until the block ends."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=_serve, args=(theirs,), daemon=True)
    child.start()
    try:
        yield ModelServer(ours.recv())
    finally:
        child.terminate()
        child.join()


class _State:
    def __init__(self) -> None:
        self.reset(Script())

    def reset(self, script: Script) -> None:
        self.script = script
        self.random = random.Random(script.seed)
        self.requests = self.refused = self.answered = 0
        self.subjects: dict[str, int] = {}
        self.first: float | None = None
        self.last = 0.0


class _Connection(asyncio.Protocol):
    """One keep-alive connection with one request at a time."""

    def __init__(self, state: _State):
        self._state = state
        self._transport: asyncio.Transport | None = None
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._data += data
        while True:
            head, found, rest = self._data.partition(b"\r\n\r\n")
            if not found:
                return
            size = 0
            for line in head.split(b"\r\n")[1:]:
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    size = int(value)
            if len(rest) < size:
                return
            self._data = rest[size:]
            self._request(head, rest[:size])

    def _request(self, head: bytes, body: bytes) -> None:
        state = self._state
        if head.startswith(b"GET /bill"):
            seconds = 0.0 if state.first is None else max(0.0, state.last - state.first)
            counts = {"requests": state.requests, "refused": state.refused, "answered": state.answered}
            self._reply(200, {**counts, "subjects": state.subjects, "seconds": seconds})
        elif head.startswith(b"POST /script"):
            state.reset(Script(**json.loads(body)))
            self._reply(200, {})
        elif head.startswith(b"POST /v1/chat/completions"):
            asked = json.loads(body)
            if not asked.get("messages"):
                self._reply(400, {"error": {"message": "messages is empty"}})  # how some clients look for rate limits in the headers
                return
            state.requests += 1
            if state.first is None and _counted(asked):
                state.first = time.perf_counter()
            if state.script.refused and state.random.random() < state.script.refused:
                state.refused += 1
                self._reply(429, {"error": {"message": "slow down"}}, "Retry-After: 1\r\n")
            else:
                # A provider charges what it works on; that the client is gone it learns too late.
                subject = _text(asked)
                state.subjects[subject] = state.subjects.get(subject, 0) + 1
                asyncio.get_running_loop().call_later(state.script.delay, self._answer, state, asked)
        else:
            self._reply(404, {"error": {"message": "no such path"}})

    def _answer(self, state: _State, asked: dict[str, Any]) -> None:
        if self._transport is None:
            return  # the client is gone
        state.answered += 1
        subject = _text(asked)
        if _counted(asked):
            state.last = time.perf_counter()
        message = {"role": "assistant", "content": json.dumps({"answer": f"About {subject}."})}
        self._reply(
            200,
            {
                "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": asked["model"],
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 60, "completion_tokens": 12, "total_tokens": 72},
            },
        )  # fmt: skip

    def _reply(self, status: int, value: dict[str, Any], headers: str = "") -> None:
        if self._transport is not None:
            body = json.dumps(value).encode()
            head = f"HTTP/1.1 {status} {'OK' if status == 200 else 'No'}\r\nContent-Type: application/json\r\n{headers}"
            self._transport.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)


def _text(asked: dict[str, Any]) -> str:
    """Of the last message, which is a string or a list of parts."""
    content = asked["messages"][-1]["content"]
    return content if isinstance(content, str) else "".join(str(part.get("text", "")) for part in content)


def _counted(asked: dict[str, Any]) -> bool:
    return _text(asked).startswith("question ")


def _serve(pipe: Connection) -> None:
    async def main() -> None:
        state = _State()
        server = await asyncio.get_running_loop().create_server(lambda: _Connection(state), "127.0.0.1", 0, backlog=1024)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())
