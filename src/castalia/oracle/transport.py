"""One POST over aiohttp, and the two ways it can fail: nothing left this machine, or something did and its fate is unknown."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

from castalia.oracle.deadlines import Deadlines
from castalia.oracle.failpoints import failpoint, is_armed
from castalia.oracle.providers.base import HttpProvider
from castalia.oracle.trust import tls_context

if TYPE_CHECKING:
    import aiohttp

CONNECT_SECONDS = 20.0
TOTAL_SECONDS = 900.0
"""Long reasoning answers take minutes without a byte."""
BODY_LIMIT = 64 * 2**20
"""Bytes of one answer after decompression."""


class HttpReply(NamedTuple):
    """A complete response."""

    status: int
    headers: Mapping[str, str]
    raw: bytes


class Unsent(Exception):
    """No connection: nothing was billed."""


class Lost(Exception):
    """The request left this machine, the answer didn't arrive whole: it may have been billed."""


class NoSuchFile(Lost):
    """The provider doesn't have the file, or not any more."""


class Transport:
    """Sessions of one client, opened when first needed."""

    def __init__(self) -> None:
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self._deadlines = Deadlines(TOTAL_SECONDS)

    def session(self, *, direct: bool) -> "aiohttp.ClientSession":
        import aiohttp

        if direct not in self._sessions:
            self._sessions[direct] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=300, ssl=tls_context()),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
                trust_env=not direct,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._sessions[direct]

    async def post(self, provider: HttpProvider, data: bytes, key: str | None) -> HttpReply:
        """Sends the JSON of one call. Raises Unsent or Lost; any HTTP status is a reply."""
        import aiohttp

        session = self.session(direct=provider.is_loopback)
        headers = {"Content-Type": "application/json", "Content-Length": str(len(data)), **provider.headers(key)}
        try:
            # Redirects would carry the credentials elsewhere.
            with self._deadlines.watch():
                async with session.post(
                    provider.url,
                    data=_halves(data) if is_armed("mid-send") else data,
                    headers=headers,
                    allow_redirects=False,
                ) as response:
                    failpoint("after-headers")
                    parts: list[bytes] = []
                    size = 0
                    async for part in response.content.iter_any():
                        failpoint("mid-body")
                        size += len(part)
                        if size > BODY_LIMIT:
                            raise Lost(f"the answer is larger than {BODY_LIMIT // 2**20} MiB")
                        parts.append(part)
                    return HttpReply(response.status, response.headers, b"".join(parts))
        except (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            raise Unsent(_words(error)) from error
        except (TimeoutError, aiohttp.ClientError, ConnectionError) as error:
            raise Lost(_words(error)) from error

    async def request(self, provider: HttpProvider, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> HttpReply:
        """Any other request to a provider, below its base URL. Raises Unsent or Lost."""
        parts: list[bytes] = []
        async with self._opened(provider, method, path, body, headers) as response:
            size = 0
            async for part in response.content.iter_any():
                size += len(part)
                if size > BODY_LIMIT:
                    raise Lost(f"the answer is larger than {BODY_LIMIT // 2**20} MiB")
                parts.append(part)
            return HttpReply(response.status, response.headers, b"".join(parts))

    async def download(self, provider: HttpProvider, path: str, headers: Mapping[str, str]) -> AsyncIterator[bytes]:
        """The parts of a large answer as they come. Raises Unsent or Lost, also for any status but 200."""
        async with self._opened(provider, "GET", path, None, headers) as response:
            if response.status != 200:
                raise (NoSuchFile if response.status in (404, 410) else Lost)(f"HTTP {response.status} for {path}")
            async for part in response.content.iter_any():
                yield part

    @asynccontextmanager
    async def _opened(
        self, provider: HttpProvider, method: str, path: str, body: bytes | None, headers: Mapping[str, str]
    ) -> "AsyncGenerator[aiohttp.ClientResponse]":
        import aiohttp

        place, _, query = path.partition("?")
        url = provider.address(place)
        url += f"{'&' if '?' in url else '?'}{query}" if query else ""
        try:
            async with self.session(direct=provider.is_loopback).request(
                method,
                url,
                data=body,
                headers=dict(headers),
                timeout=aiohttp.ClientTimeout(total=TOTAL_SECONDS, sock_connect=CONNECT_SECONDS),
                allow_redirects=False,
            ) as response:
                yield response
        except (aiohttp.ClientConnectorError, aiohttp.ClientHttpProxyError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            raise Unsent(_words(error)) from error
        except (TimeoutError, aiohttp.ClientError, ConnectionError) as error:
            raise Lost(_words(error)) from error

    async def close(self) -> None:
        """Closes the sessions."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()


async def _halves(data: bytes) -> AsyncIterator[bytes]:
    middle = len(data) // 2
    yield data[:middle]
    await asyncio.sleep(0.01)  # until the first half has left
    failpoint("mid-send")
    yield data[middle:]


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
