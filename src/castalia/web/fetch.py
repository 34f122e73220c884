"""One polite, bounded, guarded GET.

Every hop of a redirect is checked like a first request: scheme, address, robots. A host is asked at the slower of the
configured rate and its Crawl-delay, one request at a time. Time, redirects and *unpacked* bytes are capped.
"""

import asyncio
import hashlib
import time
import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import aiohttp
from yarl import URL

from castalia.web.addresses import CheckedResolver, ForbiddenAddress, check_literal, parse_networks
from castalia.web.archive import Archive, Fetched, now
from castalia.web.bodies import BodyTooLarge, Unpacker, decode_text, looks_blocked, sniff_media_type
from castalia.web.optout import header_optout, path_of, tdmrep_optout
from castalia.web.robots import MAX_BYTES, Robots, RobotsAnswer
from castalia.web.urls import canonical_url, host_of, site_root

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_RETRIED = frozenset({429, 503})
_UNREADABLE = "robots.txt could not be read"
_TRANSIENT = frozenset({"unreachable", "timeout", "incomplete-body"})


@dataclass(frozen=True)
class FetchLimits:
    """How far a fetch goes. Execution, not identity."""

    rate_per_host: float = 1.0
    """Requests per second to one host."""
    total_seconds: float = 30.0
    connect_seconds: float = 10.0
    max_bytes: int = 10_000_000
    """Of the unpacked body."""
    max_redirects: int = 5
    retries: int = 2
    """After 429, 503 or a failed connection."""
    longest_wait_seconds: float = 60.0
    """A longer Retry-After ends the attempt."""


class Fetcher:
    """Fetches through the archive: a URL that was asked once is answered from there, unless its trouble may have passed."""

    def __init__(
        self, archive: Archive, user_agent: str, connect_to: Mapping[str, str], allow_private: Sequence[str], limits: FetchLimits
    ) -> None:
        self._archive = archive
        self.user_agent = user_agent
        self._limits = limits
        self._networks = parse_networks(allow_private)
        self._resolver = CheckedResolver(self._networks, connect_to)
        self._session: aiohttp.ClientSession | None = None
        self._asked: set[str] = set()
        self._robots: dict[str, Robots] = {}
        self._tdmrep: dict[str, str] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._next: defaultdict[str, float] = defaultdict(float)
        self._delay: dict[str, float] = {}

    async def fetch(self, url: str) -> Fetched:
        """The archived or fresh outcome for `url`. Problems are data: `Fetched.problem` is a reason code.

        Codes: bad-url, private-address, unreachable, timeout, too-large, incomplete-body, bad-encoding, redirect-loop,
        robots, opt-out, status, block-page.
        """
        canonical = canonical_url(url)
        if canonical is None:
            return _failed(url, url, "bad-url", "no http or https URL with a host and without credentials")
        known = self._archive.get(canonical)
        if known is not None and (canonical in self._asked or not _may_pass(known)):
            return known
        fetched = await self._follow(canonical)
        self._asked.add(canonical)
        self._archive.put(fetched)
        return fetched

    async def robots(self, url: str) -> Robots:
        """The rules of the host of `url`."""
        root = site_root(url)
        async with self._locks[f"robots {root}"]:
            if root not in self._robots:
                answer = self._archive.robots(root)
                if answer is None:
                    answer = await self._fetch_robots(root)
                    if 0 < answer.status < 500:  # a passing trouble is not remembered for a day
                        self._archive.put_robots(root, answer)
                rules = self._robots[root] = Robots(answer, self.user_agent)
                self._delay[host_of(root)] = rules.crawl_delay
            return self._robots[root]

    async def close(self) -> None:
        """Closes connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _fetch_robots(self, root: str) -> RobotsAnswer:
        url = f"{root}robots.txt"
        for _ in range(self._limits.max_redirects + 1):
            got = await self._request(url, url, cap=MAX_BYTES, cut=True)
            if got.status in _RETRIED or got.problem in ("unreachable", "timeout", "private-address"):
                return RobotsAnswer(0, f"{got.problem}: {got.detail}" if got.problem else f"status {got.status}")
            target = canonical_url(got.headers.get("location", ""), url) if got.status in _REDIRECTS else None
            if target is None:
                return RobotsAnswer(got.status, decode_text(got.headers.get("content-type", ""), got.body))
            url = target
        return RobotsAnswer(404, "")  # RFC 9309 2.3.1.2: too many redirects count as unavailable, which allows

    async def _follow(self, url: str) -> Fetched:
        current, seen = url, {url}
        for _ in range(self._limits.max_redirects + 1):
            rules = await self.robots(current)
            if not rules.allows(current):
                if rules.unreachable:
                    code = "private-address" if rules.trouble.startswith("private-address") else "robots"
                    return _failed(url, current, code, f"{_UNREADABLE}: {rules.trouble}")
                return _failed(url, current, "robots", "robots.txt disallows it")
            if rules.refuses_training(path_of(current)):
                return _failed(url, current, "opt-out", "robots.txt: Content-Usage refuses training")
            got = await self._patiently(url, current)
            if got.problem or got.status not in _REDIRECTS:
                return await self._judge(got)
            target = canonical_url(got.headers.get("location", ""), current)
            if target is None:
                return got._replace(problem="status", detail=f"{got.status} without a usable Location")
            if target in seen:
                return _failed(url, current, "redirect-loop", f"{current} leads back to {target}")
            seen.add(target)
            current = target
        return _failed(url, current, "redirect-loop", f"more than {self._limits.max_redirects} redirects")

    async def _judge(self, got: Fetched) -> Fetched:
        if got.problem:
            return got
        html = decode_text(got.headers.get("content-type", ""), got.body) if got.media_type == "text/html" else ""
        if looks_blocked(got.status, html):
            return got._replace(problem="block-page", detail=f"status {got.status}, the page asks for a human")
        if got.status != 200:
            return got._replace(problem="status", detail=f"status {got.status}")
        refusal = header_optout(got.headers, self.user_agent)
        if not refusal and got.media_type == "text/html" and tdmrep_optout(await self._site_tdmrep(got.final_url), path_of(got.final_url)):
            refusal = "/.well-known/tdmrep.json reserves text and data mining"
        return got._replace(problem="opt-out", detail=refusal) if refusal else got

    async def _site_tdmrep(self, url: str) -> str:
        root = site_root(url)
        if root not in self._tdmrep:
            address = f"{root}.well-known/tdmrep.json"
            known = self._archive.get(address)
            if known is None:
                known = await self._request(address, address, cap=MAX_BYTES, cut=False)
                self._archive.put(known)
            self._tdmrep[root] = known.body.decode("utf-8", "replace") if known.status == 200 and not known.problem else ""
        return self._tdmrep[root]

    async def _patiently(self, url: str, current: str) -> Fetched:
        """Asks again after 429 and 503, when and as long as the host says, and after a failed connection."""
        got = await self._request(url, current, cap=self._limits.max_bytes, cut=False)
        for attempt in range(self._limits.retries):
            if got.status in _RETRIED:
                pause = _retry_after(got.headers.get("retry-after", ""), default=2.0**attempt)
            elif got.problem == "unreachable":
                pause = 0.2 * 2**attempt
            else:
                return got
            if pause > self._limits.longest_wait_seconds:
                return got
            await asyncio.sleep(pause)
            got = await self._request(url, current, cap=self._limits.max_bytes, cut=False)
        return got

    async def _request(self, url: str, current: str, *, cap: int, cut: bool) -> Fetched:
        """One request without redirects. With `cut`, a body beyond the cap is cut instead of refused."""
        host = host_of(current)
        await self._wait_turn(host)
        try:
            hostname = URL(current).host or ""
            if not self._resolver.replaces(hostname):
                check_literal(hostname, self._networks)
            async with self._client().get(URL(current, encoded=True), allow_redirects=False) as response:
                headers = _headers(response)
                body = await _read(response, headers.pop("content-encoding", ""), cap, cut)
                digest = hashlib.sha256(body).hexdigest()
                media_type = sniff_media_type(headers.get("content-type", ""), body)
                return Fetched(url, current, response.status, headers, media_type, body, digest, now())
        except ForbiddenAddress as error:
            return _failed(url, current, "private-address", str(error))
        except BodyTooLarge as error:
            return _failed(url, current, "too-large", str(error))
        except TimeoutError:
            return _failed(url, current, "timeout", f"no complete answer within {self._limits.total_seconds:g} s")
        except (aiohttp.ClientPayloadError, EOFError) as error:
            return _failed(url, current, "incomplete-body", str(error)[:200])
        except (zlib.error, ValueError) as error:
            return _failed(url, current, "bad-encoding", str(error)[:200])
        except (aiohttp.ClientError, OSError) as error:
            refused = error.__cause__ if isinstance(error.__cause__, ForbiddenAddress) else error
            if isinstance(refused, aiohttp.ClientConnectorError) and isinstance(refused.os_error, ForbiddenAddress):
                refused = refused.os_error
            code = "private-address" if isinstance(refused, ForbiddenAddress) else "unreachable"
            return _failed(url, current, code, f"{type(error).__name__}: {refused}"[:200])

    async def _wait_turn(self, host: str) -> None:
        async with self._locks[host]:
            pause = self._next[host] - time.monotonic()
            if pause > 0:
                await asyncio.sleep(pause)
            self._next[host] = time.monotonic() + max(1 / self._limits.rate_per_host, self._delay.get(host, 0.0))

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            # No DNS cache: every connection goes through the checked resolver. No proxies from the environment either.
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=self._resolver, use_dns_cache=False, limit=32),
                timeout=aiohttp.ClientTimeout(total=self._limits.total_seconds, sock_connect=self._limits.connect_seconds),
                headers={
                    "User-Agent": self.user_agent,
                    "Accept": "text/html,text/plain;q=0.9,*/*;q=0.5",
                    "Accept-Encoding": "gzip, deflate",
                },
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                trust_env=False,
            )
        return self._session


def _may_pass(fetched: Fetched) -> bool:
    """Whether the outcome was a passing trouble, so that a later run asks again."""
    unread_rules = fetched.detail.startswith(_UNREADABLE)
    return fetched.problem in _TRANSIENT or unread_rules or fetched.status == 429 or fetched.status >= 500


def _headers(response: aiohttp.ClientResponse) -> dict[str, str]:
    """Header fields by lower-case name; repeated fields joined by commas, except Location, of which the first counts."""
    headers: dict[str, str] = {}
    for name, value in response.headers.items():
        key = str(name).lower()
        if key not in headers:
            headers[key] = value
        elif key != "location":
            headers[key] += f", {value}"
    return headers


async def _read(response: aiohttp.ClientResponse, encoding: str, cap: int, cut: bool) -> bytes:
    unpacker = Unpacker(encoding, cap)
    parts: list[bytes] = []
    try:
        async for chunk in response.content.iter_chunked(1 << 16):
            parts.append(unpacker.feed(chunk))
    except BodyTooLarge:
        if not cut:
            raise
        return b"".join(parts)
    if parts and not unpacker.complete:
        raise EOFError("the packed body ends too early")
    return b"".join(parts)


def _retry_after(value: str, default: float) -> float:
    value = value.strip()
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time()) if value else default
    except ValueError:
        return default


def _failed(url: str, final_url: str, problem: str, detail: str) -> Fetched:
    return Fetched(url, final_url, 0, {}, "", b"", "", now(), problem, detail)
