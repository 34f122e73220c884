"""A polite, guarded GET that follows redirects, obeys robots.txt and opt-outs, and archives what came.

Every hop of a redirect is checked like a first request: scheme, port, address, robots. What a host refuses (robots.txt, opt-outs) is
not kept. A URL that was asked once is answered from the archive, unless its trouble may have passed.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from castalia.web.addresses import CheckedResolver, parse_networks
from castalia.web.archive import Archive, Fetched, now
from castalia.web.bodies import decode_text, looks_blocked, sniff_media_type
from castalia.web.optout import header_optout, site_optout
from castalia.web.politeness import HostSummary, Turns
from castalia.web.request import Exchange, FetchLimits, Requester
from castalia.web.robots import MAX_BYTES, Robots, RobotsAnswer
from castalia.web.urls import canonical_url, host_of, site_root

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_RETRIED = frozenset({429, 503})
_UNREADABLE = "robots.txt could not be read"
_TRANSIENT = frozenset({"unreachable", "timeout", "incomplete-body", "paused"})
_NO_HOST = frozenset({"unreachable", "bad-certificate", "private-address", "forbidden-port", "paused"})
"""Problems of a host rather than of its robots.txt."""
_SAMPLE = 60_000  # characters in which a block page shows
_KEPT_ROBOTS = 2000  # hosts whose rules stay parsed in memory
_NO_BODY = hashlib.sha256(b"").hexdigest()


class Outcome(NamedTuple):
    """What came of a URL, and the exchanges on the way."""

    fetched: Fetched
    exchanges: tuple[Exchange, ...] = ()
    same_as: str = ""
    """The URL whose archived outcome this one is, when a redirect led there."""


@dataclass
class _OneAtATime:
    """A lock that is forgotten when nobody uses it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    users: int = 0


class Fetcher:
    """Fetches through the archive. Made once per archive; one event loop. `offline` answers from the archive alone, however old it is."""

    def __init__(
        self,
        archive: Archive,
        user_agent: str,
        connect_to: Mapping[str, str],
        allow_private: Sequence[str],
        limits: FetchLimits,
        *,
        offline: bool = False,
    ) -> None:
        self.user_agent = user_agent
        self._offline = offline
        self.turns = Turns(archive.folder, limits.rate_per_host)
        self._archive = archive
        self._limits = limits
        networks = parse_networks(allow_private)
        self._requester = Requester(user_agent, CheckedResolver(networks, connect_to), networks, limits)
        self._asked: set[str] = set()
        self._robots: dict[str, Robots] = {}
        self._optouts: dict[str, tuple[str, str]] = {}
        self._busy: dict[str, _OneAtATime] = {}

    async def fetch(self, url: str, *, again: bool = False) -> Fetched:
        """The archived or fresh outcome for `url`. Problems are data: `Fetched.problem` is a reason code.

        With `again` a page that is archived is asked for once more, on the condition that it changed (RFC 9110, 13.1). Codes: bad-url,
        those of `Requester.get`, redirect-loop, robots, opt-out, status, block-page, paused.
        """
        canonical = canonical_url(url)
        if canonical is None:
            return failed(url, url, "bad-url", "no http or https URL with a host and without credentials")
        if not again and (known := self._known(canonical)) is not None:
            return known
        # A host is asked for the next page when this one is on disk: whatever ends the process costs it one request at most.
        async with self._alone(f"{host_of(canonical)} page"):
            if not again and (known := self._known(canonical)) is not None:
                return known  # another task asked while this one waited
            before = self._archive.get(canonical) if again else None
            fetched, exchanges, same_as = await self._follow(canonical, before)
            if _may_pass(fetched):
                self._asked.add(canonical)  # its trouble may pass, but not while this run lasts
            await self._archive.put_soon(fetched, exchanges, same_as=same_as)
        return fetched

    def _known(self, url: str) -> Fetched | None:
        """The archived outcome, unless its trouble may have passed since an earlier run."""
        known = self._archive.get(url)
        return None if known is None or (_may_pass(known) and url not in self._asked and not self._offline) else known

    @asynccontextmanager
    async def _alone(self, name: str) -> AsyncGenerator[None]:
        """Nobody else does the same at the same time."""
        one = self._busy.setdefault(name, _OneAtATime())
        one.users += 1
        try:
            async with one.lock:
                yield
        finally:
            one.users -= 1
            if not one.users:
                del self._busy[name]

    async def adopt(self, fetched: Fetched, origin: str) -> Fetched:
        """A response that somebody else recorded, e.g. Common Crawl, judged by the rules of its host as they are now, and archived.

        The rules are asked for as always; the page itself isn't.
        """
        refusal = await self._refusal(fetched.final_url)
        if refusal is not None:
            judged = failed(fetched.url, fetched.final_url, *refusal)
        else:
            judged = self._judge(fetched)
        await self._archive.put_soon(judged, origin=origin)
        return judged

    async def robots(self, url: str, *, public: bool = False) -> Robots:
        """The rules of the host of `url`; `public` as in `Requester.get`."""
        root = site_root(url)
        async with self._alone(f"{root} robots"):
            rules = self._robots.get(root)
            if rules is None:
                answer = self._archive.robots(root, any_age=self._offline)
                if answer is None:
                    answer = await self._fetch_robots(root, public=public)
                    if 0 < answer.status < 500:  # a passing trouble is not remembered for a day
                        self._archive.put_robots(root, answer)
                if len(self._robots) >= _KEPT_ROBOTS:
                    self._robots.pop(next(iter(self._robots)))
                rules = self._robots[root] = Robots(answer, self.user_agent)
                said = "rules" if answer.status == 200 else rules.trouble if rules.unreachable else f"none ({answer.status})"
                self.turns.note_robots(host_of(root), rules.crawl_delay, said)
        return rules

    def politeness(self) -> list[HostSummary]:
        """How every host was treated."""
        return list(self.turns.summary())

    async def close(self) -> None:
        """Closes connections and the file of turns."""
        await self._requester.close()
        self.turns.close()

    async def _fetch_robots(self, root: str, *, public: bool) -> RobotsAnswer:
        """Errors fail closed: also a redirect that leads nowhere, which RFC 9309 would let pass (2.3.1.2, "MAY")."""
        url = f"{root}robots.txt"
        exchanges: list[Exchange] = []
        answer = RobotsAnswer(0, f"redirect-loop: more than {self._limits.max_redirects} redirects")
        current = url
        for _ in range(self._limits.max_redirects + 1):
            got = await self._ask(current, cap=MAX_BYTES, cut=True, public=public or _is_public(exchanges))
            exchanges.append(got)
            if got.status not in _REDIRECTS:
                answer = _robots_answer(got)
                break
            target = canonical_url(got.headers.get("location", ""), current)
            if target is None:
                answer = RobotsAnswer(0, f"status {got.status} without a usable Location")
                break
            current = target
        last = exchanges[-1]
        fetched = _fetched(url, last) if last.status else failed(url, current, last.problem, last.detail)
        await self._archive.put_soon(fetched._replace(problem=fetched.problem or "not-a-page"), exchanges)
        return answer

    async def _follow(self, url: str, known: Fetched | None) -> Outcome:
        current, seen = url, {url}
        exchanges: list[Exchange] = []
        for _ in range(self._limits.max_redirects + 1):
            refusal = await self._refusal(current, public=_is_public(exchanges))
            if refusal is not None:
                return Outcome(failed(url, current, *refusal), tuple(exchanges))
            extra = _conditions(known) if known is not None and not known.problem and known.final_url == current else {}
            got = await self._patiently(current, extra, public=_is_public(exchanges))
            exchanges.append(got)
            if got.problem:
                return Outcome(failed(url, current, got.problem, got.detail), tuple(exchanges))
            if got.status == 304 and known is not None:
                return Outcome(known, tuple(exchanges))
            if got.status not in _REDIRECTS:
                return Outcome(self._judge(_fetched(url, got)), tuple(exchanges))
            target = canonical_url(got.headers.get("location", ""), current)
            if target is None:
                fetched = _fetched(url, got)._replace(problem="status", detail=f"{got.status} without a usable Location")
                return Outcome(fetched, tuple(exchanges))
            if target in seen:
                return Outcome(failed(url, current, "redirect-loop", f"{current} leads back to {target}"), tuple(exchanges))
            seen.add(target)
            current = target
            archived = self._known(current) if known is None else None
            if archived is not None:
                return Outcome(archived._replace(url=url), tuple(exchanges), current)
        return Outcome(failed(url, current, "redirect-loop", f"more than {self._limits.max_redirects} redirects"), tuple(exchanges))

    async def _refusal(self, url: str, *, public: bool = False) -> tuple[str, str] | None:
        """(reason code, words) when `url` must not be fetched: by its address, robots.txt, or what the site says of AI.

        `public` as in `Requester.get`, and checked before robots.txt is asked.
        """
        if public and (forbidden := await self._requester.refuses(url)):
            return "private-address", forbidden
        rules = await self.robots(url, public=public)
        if rules.unreachable:
            code = rules.trouble.split(":")[0]
            return (code if code in _NO_HOST else "robots"), f"{_UNREADABLE}: {rules.trouble}"
        if not rules.allows(url):
            return "robots", "robots.txt disallows it"
        if rules.refuses_training(url):
            return "opt-out", "robots.txt: Content-Usage or Content-Signal refuses training"
        refused = site_optout(*await self._site_statements(url, public=public), url, self.user_agent)
        return ("opt-out", refused) if refused else None

    def _judge(self, got: Fetched) -> Fetched:
        """Whether an answer is a page that may be used. What an opt-out covers is not kept."""
        is_html = got.media_type == "text/html"
        html = decode_text(got.headers.get("content-type", ""), got.body[:_SAMPLE]) if is_html else ""
        if looks_blocked(got.status, html, len(got.body)):
            return got._replace(problem="block-page", detail=f"status {got.status}, the page asks for a human")
        if got.status != 200:
            return got._replace(problem="status", detail=f"status {got.status}")
        if not got.body.strip():
            return got._replace(problem="empty-body", detail="status 200 without content")
        refusal = header_optout(got.headers, self.user_agent)
        return got._replace(problem="opt-out", detail=refusal, body=b"", body_sha256=_NO_BODY) if refusal else got

    async def _site_statements(self, url: str, *, public: bool) -> tuple[str, str]:
        """What the host says for all of its pages: (tdmrep.json, ai.txt), each empty when it has none."""
        root = site_root(url)
        async with self._alone(f"{root} statements"):
            if root not in self._optouts:
                if len(self._optouts) >= _KEPT_ROBOTS:
                    self._optouts.pop(next(iter(self._optouts)))
                reserved = await self._statement(f"{root}.well-known/tdmrep.json", public=public)
                self._optouts[root] = (reserved, await self._statement(f"{root}ai.txt", public=public))
            return self._optouts[root]

    async def _statement(self, address: str, *, public: bool) -> str:
        known = self._known(address)
        if known is None:
            got = await self._ask(address, cap=MAX_BYTES, cut=True, public=public)
            known = _fetched(address, got) if got.status else failed(address, address, got.problem, got.detail)
            self._asked.add(address)
            await self._archive.put_soon(known._replace(problem=known.problem or "not-a-page"), [got])
        return decode_text(known.headers.get("content-type", ""), known.body) if known.status == 200 else ""

    async def _patiently(self, url: str, extra: Mapping[str, str], *, public: bool) -> Exchange:
        """Asks again after 429 and 503, when and as long as the host says, and after a failed connection."""
        got = await self._ask(url, cap=self._limits.max_bytes, extra=extra, public=public)
        for attempt in range(self._limits.retries):
            if got.status in _RETRIED:
                pause = _retry_after(got.headers.get("retry-after", ""), default=2.0**attempt)
                self.turns.pause(host_of(url), pause)  # the host asked for it, so it holds for all of its pages
                if pause > self._limits.longest_wait_seconds:
                    return got
            elif got.problem == "unreachable":
                await asyncio.sleep(0.2 * 2**attempt)
            else:
                return got
            got = await self._ask(url, cap=self._limits.max_bytes, extra=extra, public=public)
        return got

    async def _ask(
        self, url: str, *, cap: int, cut: bool = False, public: bool = False, extra: Mapping[str, str] | None = None
    ) -> Exchange:
        """One request in the host's turn; no request at all while the host is to be left alone for long, or offline."""
        if self._offline:
            return Exchange(url, problem="offline", detail="the archive does not have it, and nothing is fetched offline")
        host = host_of(url)
        pause = self.turns.paused_for(host)
        if pause > self._limits.longest_wait_seconds:
            return Exchange(url, problem="paused", detail=f"the host is left alone for another {pause:.0f} s")
        async with self.turns.turn(host):
            got = await self._requester.get(url, cap=cap, cut=cut, public=public, extra=extra)
            self.turns.note(host, body_bytes=len(got.body), failed=got.problem in ("unreachable", "timeout"))
        return got


def failed(url: str, final_url: str, problem: str, detail: str) -> Fetched:
    """The outcome of a URL that gave no answer."""
    return Fetched(url, final_url, 0, {}, "", b"", "", now(), problem, detail)


def _fetched(url: str, got: Exchange) -> Fetched:
    headers = {name: value for name, value in got.headers.items() if name != "content-encoding"}
    media_type = sniff_media_type(headers.get("content-type", ""), got.body)
    return Fetched(url, got.url, got.status, headers, media_type, got.body, hashlib.sha256(got.body).hexdigest(), now())


def _robots_answer(got: Exchange) -> RobotsAnswer:
    if got.problem:
        return RobotsAnswer(0, f"{got.problem}: {got.detail}")
    if got.status in _RETRIED or not 200 <= got.status < 600:
        return RobotsAnswer(0, f"status {got.status}")
    return RobotsAnswer(got.status, got.body.decode("utf-8", "replace"))


def _is_public(exchanges: Sequence[Exchange]) -> bool:
    """Whether the last hop was a host of the public web, which may lead only to others of it."""
    return bool(exchanges) and exchanges[-1].is_public


def _conditions(known: Fetched) -> dict[str, str]:
    stated = {"If-None-Match": known.headers.get("etag", ""), "If-Modified-Since": known.headers.get("last-modified", "")}
    return {name: value for name, value in stated.items() if value}


def _may_pass(fetched: Fetched) -> bool:
    """Whether the outcome was a passing trouble, so that a later run asks again."""
    unread_rules = fetched.detail.startswith(_UNREADABLE)
    return fetched.problem in _TRANSIENT or unread_rules or fetched.status == 429 or fetched.status >= 500


def _retry_after(value: str, default: float) -> float:
    """Seconds (RFC 9110, 10.2.3); `default` for what is neither a number nor a date."""
    value = value.strip()
    if value.isdecimal():
        return float(value[:10])
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time()) if value else default
    except (ValueError, OverflowError, TypeError):
        return default
