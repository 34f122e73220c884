"""One HTTP request: bounded in time and bytes, sent only to checked addresses, answered with data whatever happens.

Every request has a connection of its own. At one request per second and host that costs little, and nothing that a server sends behind
its answer can reach the next one.
"""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import aiohttp
from yarl import URL

from castalia.web.addresses import CONTACTED, FORBIDDEN_PORTS, CheckedResolver, ForbiddenAddress, Network, check_literal, public_only
from castalia.web.unpack import ACCEPTED, BodyTooLarge, DamagedBody, Unpacker

_LONGEST_FIELD = 16 << 10  # bytes of a status line or a header field
_MOST_FIELDS = 200


@dataclass(frozen=True)
class FetchLimits:
    """How far a fetch goes. Execution, not identity."""

    rate_per_host: float = 1.0
    """Requests per second to one host."""
    total_seconds: float = 30.0
    """For one request, from the connection to the last byte."""
    connect_seconds: float = 10.0
    max_bytes: int = 10_000_000
    """Of the unpacked body."""
    max_redirects: int = 5
    retries: int = 2
    """After 429, 503 or a failed connection."""
    longest_wait_seconds: float = 60.0
    """A longer Retry-After ends the attempt."""


class Exchange(NamedTuple):
    """A request and its answer as they were on the wire, the body unpacked. Without an answer `status` is 0 and `problem` says why."""

    url: str
    status: int = 0
    reason: str = ""
    fields: tuple[tuple[bytes, bytes], ...] = ()
    """Header fields as received, in order."""
    body: bytes = b""
    cut: bool = False
    """Whether the body was longer than what is kept."""
    address: str = ""
    is_public: bool = True
    """Whether the peer was on the public web, not in a range that the configuration names."""
    request: bytes = b""
    """Head of the request."""
    problem: str = ""
    detail: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """Header fields by lower-case name. Repeated fields are joined by commas, except Location, of which the first counts,
        and X-Robots-Tag, whose lines stay apart, because an agent named in one doesn't govern the next."""
        headers: dict[str, str] = {}
        for name, value in self.fields:
            key, text = name.decode("latin-1").lower(), value.decode("utf-8", "replace")
            if key not in headers:
                headers[key] = text
            elif key == "x-robots-tag":
                headers[key] += f"\n{text}"
            elif key != "location":
                headers[key] += f", {text}"
        return headers


class Requester:
    """Sends requests. `get` never raises for what a server does."""

    def __init__(self, user_agent: str, resolver: CheckedResolver, networks: tuple[Network, ...], limits: FetchLimits) -> None:
        self._user_agent = user_agent
        self._resolver = resolver
        self._networks = networks
        self._limits = limits
        self._session: aiohttp.ClientSession | None = None

    async def get(self, url: str, *, cap: int, cut: bool = False, public: bool = False, extra: Mapping[str, str] | None = None) -> Exchange:
        """The answer for `url`, redirects not followed. With `cut`, a body beyond `cap` bytes is cut instead of refused.

        `public` demands an address of the public web; `extra` are more request headers. Problems: forbidden-port, private-address,
        unreachable, bad-certificate, timeout, too-large, incomplete-body, bad-encoding, bad-response.
        """
        target = URL(url, encoded=True)
        contacted: list[tuple[str, int]] = []
        CONTACTED.set(contacted)
        try:
            with public_only(public):
                if not self._resolver.replaces(target.host or ""):
                    check_literal(target.host or "", self._networks)
                if target.port in FORBIDDEN_PORTS:
                    return Exchange(url, problem="forbidden-port", detail=f"port {target.port} is not one of the web")
                async with asyncio.timeout(self._limits.total_seconds):
                    return await self._exchange(url, target, cap, cut, extra or {}, contacted)
        except (ForbiddenAddress, TimeoutError, aiohttp.ClientError, OSError, ValueError, EOFError) as error:
            problem, detail = self._name(error)
            return Exchange(url, problem=problem, detail=detail[:300])

    async def refuses(self, url: str) -> str:
        """Why `url` leads to no address of the public web, empty when it does or when its name can't be resolved."""
        target = URL(url, encoded=True)
        host = target.host or ""
        try:
            with public_only(True):
                if not check_literal(host, ()):
                    async with asyncio.timeout(self._limits.connect_seconds):
                        await self._resolver.resolve(host, target.port or 0)
        except ForbiddenAddress as error:
            return str(error)
        except (OSError, ValueError):
            return ""  # the request that follows says what is wrong
        return ""

    async def close(self) -> None:
        """Closes connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _exchange(
        self, url: str, target: URL, cap: int, cut: bool, extra: Mapping[str, str], contacted: Sequence[tuple[str, int]]
    ) -> Exchange:
        async with self._client().get(target, allow_redirects=False, headers=extra) as response:
            peer = self._peer(response) or contacted[-1]
            encoding = ",".join(response.headers.getall("content-encoding", []))
            body, was_cut = await _read(response, encoding, cap, cut)
            info = response.request_info
            lines = [f"GET {info.url.raw_path_qs} HTTP/1.1", *(f"{name}: {value}" for name, value in info.headers.items())]
            request = ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "replace")
            status, reason, fields = response.status, response.reason or "", tuple(response.raw_headers)
            return Exchange(url, status, reason, fields, body, was_cut, peer[0], self._resolver.is_public(*peer), request)

    def _peer(self, response: aiohttp.ClientResponse) -> tuple[str, int] | None:
        """Who answered. A small answer may have come whole, and its connection be gone already: then the socket's check stands."""
        transport = response.connection.transport if response.connection is not None else None
        peer = transport.get_extra_info("peername") if transport is not None else None
        if not peer:
            return None
        self._resolver.check_peer(str(peer[0]), int(peer[1]))
        return str(peer[0]), int(peer[1])

    def _name(self, error: BaseException) -> tuple[str, str]:
        """Reason code and words of what went wrong."""
        causes = (error, error.__cause__, getattr(error, "os_error", None))
        forbidden = next((cause for cause in causes if isinstance(cause, ForbiddenAddress)), None)
        if forbidden is not None:
            return "private-address", str(forbidden)
        text = f"{type(error).__name__}: {error}"
        match error:
            case TimeoutError():
                return "timeout", f"no complete answer within {self._limits.total_seconds:g} s"
            case BodyTooLarge():
                return "too-large", str(error)
            case DamagedBody():
                return "bad-encoding", str(error)
            case aiohttp.ClientPayloadError() | EOFError():
                return "incomplete-body", text
            case aiohttp.ClientConnectorCertificateError() | ssl.SSLCertVerificationError():
                return "bad-certificate", text
            case aiohttp.ClientResponseError():
                return "bad-response", f"what came is no HTTP: {text}"
            case aiohttp.ClientError() | OSError():
                return "unreachable", text
            case _:
                return "bad-response", text

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            # No DNS cache: every connection goes through the checked resolver. No proxies from the environment either.
            connector = aiohttp.TCPConnector(
                resolver=self._resolver, use_dns_cache=False, limit=0, force_close=True, socket_factory=self._resolver.open_socket
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._limits.connect_seconds),
                headers={"User-Agent": self._user_agent, "Accept": "text/html,text/plain;q=0.9,*/*;q=0.5", "Accept-Encoding": ACCEPTED},
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
                max_line_size=_LONGEST_FIELD,
                max_field_size=_LONGEST_FIELD,
                max_headers=_MOST_FIELDS,
            )
        return self._session


async def _read(response: aiohttp.ClientResponse, encoding: str, cap: int, cut: bool) -> tuple[bytes, bool]:
    unpacker = Unpacker(encoding, cap)
    body = bytearray()  # a list of pieces would cost fifty bytes for every one-byte chunk
    begun = False
    try:
        async for chunk in response.content.iter_chunked(1 << 16):
            begun = True
            body += unpacker.feed(chunk)
    except BodyTooLarge:
        if not cut:
            raise
        return bytes(body), True
    if begun and not unpacker.complete:
        raise EOFError("the packed body ends too early")
    return bytes(body), False
