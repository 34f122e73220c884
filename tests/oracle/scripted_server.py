"""A model server on loopback that misbehaves on command and keeps its own bill.

It speaks OpenAI Chat Completions (`/v1/chat/completions`) and Anthropic Messages (`/v1/messages`). What it answers and how it fails is
decided by a `script`: a function from the number of the request (from 0) and the user's last message to an `Act`. Every whole answer is in
`bill`, with its bytes, so that a ledger can be compared with it; `charged` also has what was generated and then lost on the way.

    async with scripted_server(lambda number, text: Act(text='{"x": 1}')) as server:
        RoleConfig(provider="openai", base_url=server.openai, model="m")
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(frozen=True)
class Act:
    """What the server does with one request."""

    text: str = '{"x": 1}'
    status: int = 200
    retry_after: str | None = None
    delay: float = 0.0
    reset: bool = False
    """Cut the connection in the middle of the body."""
    body: bytes | None = None
    """Send exactly this instead of an envelope."""
    usage: tuple[int, int] | None = (10, 5)
    """Tokens in the envelope; None leaves them out."""
    charge: tuple[int, int] | None = None
    """Tokens on the bill, where they differ from the envelope's."""
    stop: str = "end"
    model: str = "scripted"


@dataclass
class Bill:
    """One answer that was sent to its end."""

    user: str
    body: bytes
    tokens: tuple[int, int]


@dataclass
class Server:
    """A running server and what it saw."""

    port: int = 0
    bill: list[Bill] = field(default_factory=list)
    charged: list[tuple[int, int]] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    flying: int = 0
    most_flying: int = 0

    @property
    def openai(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def anthropic(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def _openai(act: Act) -> dict[str, Any]:
    stops = {"end": "stop", "length": "length", "refusal": "content_filter"}
    message = {"role": "assistant", "content": act.text}
    envelope: dict[str, Any] = {"model": act.model, "choices": [{"index": 0, "message": message, "finish_reason": stops[act.stop]}]}
    if act.usage:
        envelope["usage"] = {"prompt_tokens": act.usage[0], "completion_tokens": act.usage[1]}
    return envelope


def _anthropic(act: Act) -> dict[str, Any]:
    stops = {"end": "end_turn", "length": "max_tokens", "refusal": "refusal"}
    envelope: dict[str, Any] = {"model": act.model, "content": [{"type": "text", "text": act.text}], "stop_reason": stops[act.stop]}
    if act.usage:
        envelope["usage"] = {"input_tokens": act.usage[0], "output_tokens": act.usage[1]}
    return envelope


@asynccontextmanager
async def scripted_server(script: Callable[[int, str], Act]) -> AsyncIterator[Server]:
    """Runs the server until the block ends."""
    server = Server()

    async def answer(request: web.Request) -> web.StreamResponse:
        body = await request.json()
        number = len(server.requests)
        server.requests.append(body)
        server.headers.append(dict(request.headers))
        user = body["messages"][-1]["content"]
        act = script(number, user)
        server.flying += 1
        server.most_flying = max(server.most_flying, server.flying)
        try:
            await asyncio.sleep(act.delay)
            envelope = _anthropic(act) if request.path == "/v1/messages" else _openai(act)
            data = act.body if act.body is not None else json.dumps(envelope).encode()
            if act.status != 200 and act.body is None:
                data = json.dumps({"error": {"message": f"scripted {act.status}"}}).encode()
            response = web.StreamResponse(status=act.status, headers={"Content-Length": str(len(data)), "Content-Type": "application/json"})
            if act.retry_after is not None:
                response.headers["Retry-After"] = act.retry_after
            if act.status == 200 and act.body is None:
                # A provider charges before the client can know that it has the answer.
                tokens = act.charge or act.usage or (0, 0)
                server.charged.append(tokens)
                if not act.reset:
                    server.bill.append(Bill(user, data, tokens))
            await response.prepare(request)
            if act.reset:
                await response.write(data[: len(data) // 2])
                assert request.transport is not None
                request.transport.abort()
                return response
            await response.write(data)
            await response.write_eof()
            return response
        finally:
            server.flying -= 1

    app = web.Application()
    app.router.add_post("/v1/chat/completions", answer)
    app.router.add_post("/v1/messages", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        await runner.cleanup()
