"""HTTP/1.1 as bytes, so that everything can be done wrong on purpose and a request costs microseconds."""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests", 500: "Internal Server Error"}
HEAD_LIMIT = 64 * 1024
BODY_LIMIT = 256 * 2**20


class Request(NamedTuple):
    """One request as it came in."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


Handler = Callable[[Request, "Connection"], None]


class Connection(asyncio.Protocol):
    """One client's connection. Requests on it are answered one after the other."""

    def __init__(self, handle: Handler, opened: set["Connection"]):
        self._handle = handle
        self._opened = opened
        self._buffer = bytearray()
        self._busy = False
        self._room = asyncio.Event()
        self._room.set()
        self.transport: asyncio.Transport | None = None
        self.is_lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._opened.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        self._room.set()
        self._opened.discard(self)

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._next()

    def _next(self) -> None:
        if self._busy or self.is_lost:
            return
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > HEAD_LIMIT:
                self.abort()
            return
        first, *lines = bytes(self._buffer[:end]).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        try:
            method, target, _ = first.split(" ", 2)
            size = int(headers.get("content-length", "0"))
        except ValueError:
            self.abort()
            return
        if "transfer-encoding" in headers or size > BODY_LIMIT:
            self.reply(400, json.dumps({"error": {"message": "send a Content-Length below 256 MiB"}}).encode())
            self.close()
            return
        if len(self._buffer) < end + 4 + size:
            if headers.get("expect", "").lower() == "100-continue" and len(self._buffer) == end + 4:
                self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            return
        body = bytes(self._buffer[end + 4 : end + 4 + size])
        del self._buffer[: end + 4 + size]
        self._busy = True
        path, _, query = target.partition("?")
        self._handle(Request(method, path, query, headers, body), self)

    def head(self, status: int, length: int | None, headers: Mapping[str, str]) -> bytes:
        """Status line and headers; without a length the body comes in chunks."""
        lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Scripted')}"]
        lines.append(f"Content-Length: {length}" if length is not None else "Transfer-Encoding: chunked")
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*lines, "\r\n"]).encode("latin-1")

    def reply(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        """A whole answer."""
        self.write(self.head(status, len(body), headers or {"Content-Type": "application/json"}) + body)
        self.ready()

    def reply_json(self, status: int, value: Any) -> None:
        """A whole answer in JSON."""
        self.reply(status, json.dumps(value).encode())

    def write(self, data: bytes) -> None:
        """Sends bytes, as far as somebody is there."""
        if self.transport is not None and not self.is_lost:
            self.transport.write(data)

    async def drained(self) -> None:
        """Waits until the client has taken most of what was written."""
        await self._room.wait()

    def ready(self) -> None:
        """The answer is out: the next request may come."""
        self._busy = False
        if self._buffer:
            asyncio.get_running_loop().call_soon(self._next)

    def close(self) -> None:
        """Ends the connection after what was written."""
        if self.transport is not None:
            self.transport.close()

    def abort(self) -> None:
        """Cuts the connection."""
        if self.transport is not None:
            self.transport.abort()
        self.is_lost = True
