"""The scripted server: one act per request, limits, and the bill."""

import asyncio
import email.utils
import gzip
import json
import ssl
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from castalia.oracle.scripted.acts import Act, RateLimit, Script
from castalia.oracle.scripted.batches import BATCH_SHARE, Batches
from castalia.oracle.scripted.envelopes import Api, envelope, error_body, events, last_user_text
from castalia.oracle.scripted.wire import Connection, Request

BOMB_BYTES = 256 * 2**20
ENDINGS: dict[str, Api] = {"/chat/completions": "chat", "/responses": "responses", "/messages": "messages"}


@dataclass(frozen=True)
class Bill:
    """One charged answer."""

    number: int
    """Which request it was, from 0."""
    user: str
    body: bytes
    """The answer as sent, or as it would have been."""
    tokens: tuple[int, int]
    """In and out."""
    is_whole: bool
    """Whether all of it was written while the client was there. A client that vanishes later isn't seen."""
    batch: str = ""
    """The batch it came in; such answers cost `BATCH_SHARE` of the price."""

    @property
    def request_id(self) -> str:
        """As sent in the header `x-request-id`; answers in a batch have none of their own."""
        return "" if self.batch else f"req-{self.number}"

    @property
    def share(self) -> float:
        """Of the price, what is charged."""
        return BATCH_SHARE if self.batch else 1.0


@dataclass
class Server:
    """A running server and what it saw."""

    script: Script
    limit: RateLimit | None = None
    keep: bool = True
    """Whether requests and answers are kept; a long benchmark keeps only the sums."""
    port: int = 0
    bill: list[Bill] = field(default_factory=list[Bill])
    requests: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    headers: list[dict[str, str]] = field(default_factory=list[dict[str, str]])
    """Of every request, names in lower case."""
    paths: list[str] = field(default_factory=list[str])
    """Of every request, with its query."""
    count: int = 0
    charged: int = 0
    charged_in_batches: int = 0
    """Of the charged answers."""
    tokens_in: int = 0
    tokens_out: int = 0
    flying: int = 0
    most_flying: int = 0
    batches: Batches = field(init=False)
    """Both batch APIs; set its fields to make them slow or fail."""
    _listener: asyncio.Server | None = None
    _opened: set[Connection] = field(default_factory=set[Connection])
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set["asyncio.Task[None]"])
    _bucket: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """(requests left, tokens left, when that was)."""

    def __post_init__(self) -> None:
        self.batches = Batches(self._batch_act, self._batch_charge)

    @property
    def openai(self) -> str:
        """Base URL for the provider `openai`."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def anthropic(self) -> str:
        """Base URL for the provider `anthropic`."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def whole(self) -> list[Bill]:
        """Charged answers that were written to their end."""
        return [item for item in self.bill if item.is_whole]

    def summary(self) -> dict[str, int]:
        """The sums."""
        return {
            "requests": self.count, "charged": self.charged, "charged_in_batches": self.charged_in_batches,
            "tokens_in": self.tokens_in, "tokens_out": self.tokens_out,
            "flying": self.flying, "most_flying": self.most_flying,
        }  # fmt: skip

    async def start(self, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        """Listens on loopback, over TLS where a context is given."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: Connection(self._handle, self._opened), "127.0.0.1", port, ssl=tls, backlog=1024)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stops listening and cuts every connection."""
        for task in list(self._tasks):
            task.cancel()
        for connection in list(self._opened):
            connection.abort()
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    @asynccontextmanager
    async def refusing(self) -> AsyncGenerator[None]:
        """While the block runs nobody listens, so connections are refused."""
        await self.stop()
        try:
            yield
        finally:
            await self.start(self.port)

    def _handle(self, request: Request, connection: Connection) -> None:
        if request.path.startswith("/scripted/"):
            connection.reply_json(*self._control(request))
            return
        if self._by_batch(request, connection):
            return
        api: Api | None = next((api for ending, api in ENDINGS.items() if request.path.endswith(ending)), None)
        if api is None or request.method != "POST":
            connection.reply_json(404, {"error": {"message": f"nothing is at {request.method} {request.path}"}})
            return
        try:
            body = json.loads(request.body)
            user = last_user_text(api, body)
        except (ValueError, LookupError, AttributeError) as error:
            connection.reply_json(400, {"error": {"message": f"the body can't be read: {error}", "type": "invalid_request_error"}})
            return
        number = self.count
        self.count += 1
        if self.keep:
            self.requests.append(body)
            self.headers.append(dict(request.headers))
            self.paths.append(request.path + (f"?{request.query}" if request.query else ""))
        headers = {"Content-Type": "application/json", "x-request-id": f"req-{number}", "request-id": f"req-{number}"}
        headers["Date"] = email.utils.formatdate(usegmt=True)  # ours, for clients whose clock is wrong
        act = self._limited(api, headers) or self.script(number, user)
        self.flying += 1
        self.most_flying = max(self.most_flying, self.flying)
        is_stream = body.get("stream") is True

        exchange = _Exchange(number, user, api, act, is_stream, headers)

        def answer() -> None:
            self._answer(exchange, connection)

        if act.delay:
            asyncio.get_running_loop().call_later(act.delay, answer)
        else:
            answer()

    def _by_batch(self, request: Request, connection: Connection) -> bool:
        found = self.batches.handle(request)
        if found is None:
            return False
        status, body, lost = found
        if lost == "all":
            connection.abort()
        elif lost == "half":
            connection.write(connection.head(status, len(body), {"Content-Type": "application/jsonl"}) + body[: len(body) // 2])
            connection.close()
        else:
            connection.reply(status, body)
        return True

    def _batch_act(self, user: str) -> Act:
        number, self.count = self.count, self.count + 1
        return self.script(number, user)

    def _batch_charge(self, user: str, body: bytes, act: Act, batch: str) -> None:
        self.charged_in_batches += 1
        self._charge(Bill(self.count - 1, user, body, act.charge or act.usage or (0, 0), is_whole=True, batch=batch))

    def _control(self, request: Request) -> tuple[int, Any]:
        if request.path == "/scripted/bill":
            return 200, self.summary()
        return 404, {"error": {"message": f"nothing is at {request.path}; there is /scripted/bill"}}

    def _limited(self, api: Api, headers: dict[str, str]) -> Act | None:
        if self.limit is None:
            return None
        requests, tokens = self.limit.requests_per_minute, self.limit.tokens_per_minute
        left, tokens_left, at = self._bucket
        now = time.monotonic()
        passed = now - at if at else 60.0
        # The bucket holds one second's worth, as real ones do: a minute's quota can't be spent at once.
        left = min(max(1.0, requests / 60), left + passed * requests / 60)
        tokens_left = min(max(1.0, tokens / 60), tokens_left + passed * tokens / 60)
        refused = left < 1 or tokens_left < 1
        self._bucket = (left if refused else left - 1, tokens_left, now)
        wait = max((1 - left) * 60 / requests, (1 - tokens_left) * 60 / tokens, 0.0)
        for name, most, rest in (("requests", requests, self._bucket[0]), ("tokens", tokens, tokens_left)):
            prefix = f"anthropic-ratelimit-{name}-" if api == "messages" else "x-ratelimit-"
            suffix = "" if api == "messages" else f"-{name}"
            headers[f"{prefix}limit{suffix}"] = str(most)
            headers[f"{prefix}remaining{suffix}"] = str(max(0, int(rest)))
            headers[f"{prefix}reset{suffix}"] = (
                time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + wait)) if api == "messages" else f"{wait:.3f}s"
            )
        if not refused:
            return None
        return Act(
            status=429,
            retry_after=f"{wait:.3f}" if self.limit.retry_after else None,
            code="rate_limit_exceeded",
            message="Rate limit reached",
        )

    def _answer(self, exchange: "_Exchange", connection: Connection) -> None:
        act = exchange.act
        if act.fault == "disconnect":
            connection.abort()
            self.flying -= 1
            return
        pieces = exchange.pieces()
        # A provider charges before it can know whether the client has the answer.
        charge = act.charge or ((act.usage or (0, 0)) if act.status == 200 and act.body is None else None)
        if act.retry_after is not None:
            exchange.headers["Retry-After"] = act.retry_after
        elif act.retry_date is not None:
            exchange.headers["Retry-After"] = email.utils.formatdate(time.time() + act.retry_date, usegmt=True)
        is_whole = not connection.is_lost and act.fault not in ("reset", "cut-chunk", "short-body", "long-body", "cut-stream")
        if charge is not None:
            self._charge(Bill(exchange.number, exchange.user, b"".join(pieces), charge, is_whole))
        if act.fault in ("", "long-body", "gzip-bomb") and not exchange.is_stream:
            self._write_at_once(exchange, pieces[0], connection)
            self.flying -= 1
        else:
            task = asyncio.get_running_loop().create_task(self._write_slowly(exchange, pieces, connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _charge(self, bill: Bill) -> None:
        self.charged += 1
        self.tokens_in += bill.tokens[0]
        self.tokens_out += bill.tokens[1]
        if self.limit is not None:
            left, tokens_left, at = self._bucket
            self._bucket = (left, tokens_left - sum(bill.tokens), at)
        if self.keep:
            self.bill.append(bill)

    def _write_at_once(self, exchange: "_Exchange", body: bytes, connection: Connection) -> None:
        act = exchange.act
        if act.fault == "long-body":
            connection.write(connection.head(act.status, max(1, len(body) // 2), exchange.headers) + body)
            connection.close()
            return
        if act.fault == "gzip-bomb":
            body = _bomb(BOMB_BYTES)
            exchange.headers["Content-Encoding"] = "gzip"
        connection.reply(act.status, body, exchange.headers)

    async def _write_slowly(self, exchange: "_Exchange", pieces: list[bytes], connection: Connection) -> None:
        act = exchange.act
        try:
            chunked = exchange.is_stream or act.fault == "cut-chunk"
            body = b"".join(pieces)
            length = None if chunked else len(body)
            connection.write(connection.head(act.status, length, exchange.headers))
            if act.fault == "drip":
                pieces = [body[start : start + 16] for start in range(0, len(body), 16)]
            kept = len(pieces) // 2 if act.fault == "cut-stream" else len(pieces)
            for piece in pieces[:kept]:
                if act.fault in ("reset", "short-body"):
                    piece = piece[: len(piece) // 2]
                framed = b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece
                connection.write(framed[: -len(piece) // 2 - 2] if act.fault == "cut-chunk" else framed)
                await connection.drained()
                if act.fault == "drip":
                    await asyncio.sleep(act.drip_seconds)
                elif exchange.is_stream:
                    await asyncio.sleep(0)
                if act.fault in ("reset", "cut-chunk", "short-body"):
                    break
            if act.fault == "reset":
                # What was written must get out first, or the client would see no body at all.
                await asyncio.sleep(0.01)
                connection.abort()
            elif act.fault in ("cut-chunk", "short-body"):
                connection.close()
            else:
                connection.write(b"0\r\n\r\n" if chunked else b"")
                connection.ready()
        finally:
            self.flying -= 1


@dataclass
class _Exchange:
    """One request and what is done with it."""

    number: int
    user: str
    api: Api
    act: Act
    is_stream: bool
    headers: dict[str, str]

    def pieces(self) -> list[bytes]:
        """The body; of a stream, one element per event."""
        act = self.act
        self.headers["Content-Type"] = act.content_type
        if act.body is not None or act.status != 200:
            self.is_stream = False
            return [act.body if act.body is not None else error_body(self.api, act)]
        if self.is_stream:
            self.headers["Content-Type"] = "text/event-stream"
            return events(self.api, act, self.number)
        return [json.dumps(envelope(self.api, act, self.number)).encode()]


@lru_cache(maxsize=1)
def _bomb(size: int) -> bytes:
    return gzip.compress(b" " * size, compresslevel=9)


def _default(_number: int, _text: str) -> Act:
    return Act()


@asynccontextmanager
async def scripted_server(
    script: Script | None = None, *, limit: RateLimit | None = None, keep: bool = True, port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncGenerator[Server]:
    """Runs the server until the block ends. Without a script every answer is the default act."""
    server = Server(script or _default, limit=limit, keep=keep)
    await server.start(port, tls)
    try:
        yield server
    finally:
        await server.stop()
