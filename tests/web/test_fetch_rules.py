"""What a fetch obeys and remembers: opt-outs of a site, conditions, pauses, and the archive of all of it."""

import asyncio
import gzip
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator

from benchmarks import fetch_hostile, fetch_robots, fetch_urls
from castalia.web import FetchLimits, Web, open_web
from castalia.web.addresses import ForbiddenAddress

HTML = b"<html><body><p>Words of a page.</p></body></html>"
LIMITS = FetchLimits(rate_per_host=500, total_seconds=2, retries=1, longest_wait_seconds=1)
Answer = tuple[int, dict[str, str], bytes]


class _Site(BaseHTTPRequestHandler):
    answers: dict[str, Callable[[BaseHTTPRequestHandler], Answer] | Answer]
    asked: list[str]
    moments: list[float]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.moments.append(time.monotonic())
        answer = self.answers.get(self.path, (404, {}, b""))
        status, headers, body = answer if isinstance(answer, tuple) else answer(self)
        self.send_response(status)
        for name, value in {"Content-Type": "text/html", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""


class Site:
    def __init__(self) -> None:
        self.answers: dict[str, Callable[[BaseHTTPRequestHandler], Answer] | Answer] = {}
        self.asked: list[str] = []
        self.moments: list[float] = []
        """When each request came, in seconds."""
        handler = type("Handler", (_Site,), {"answers": self.answers, "asked": self.asked, "moments": self.moments})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def run(self, folder: Path, work: Callable[[Web], object]) -> object:
        async def inside() -> object:
            target = {"site.test": f"127.0.0.1:{self.server.server_port}"}
            web = open_web(folder, user_agent="castalia/0.1", connect_to=target, limits=LIMITS)
            try:
                return await work(web)  # type: ignore[misc]
            finally:
                await web.close()

        return asyncio.run(inside())

    def problem(self, folder: Path, path: str = "/page") -> tuple[str, str]:
        async def work(web: Web) -> tuple[str, str]:
            got = await web.fetch(f"http://site.test{path}")
            return got.problem, got.detail

        return self.run(folder, work)  # type: ignore[return-value]


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.server.shutdown()


@pytest.mark.parametrize(
    ("path", "headers", "body", "said"),
    [
        ("/.well-known/tdmrep.json", {}, b'[{"location": "/pa*", "tdm-reservation": 1}]', "tdmrep.json"),
        ("/ai.txt", {}, b"User-Agent: *\nDisallow: /\n", "ai.txt"),
        ("/robots.txt", {}, b"User-agent: *\nContent-Usage: train-ai=n\nAllow: /\n", "Content-Usage"),
        ("/robots.txt", {}, b"User-agent: *\nContent-Signal: search=yes, ai-train=no\nAllow: /\n", "Content-Signal"),
        ("/page", {"X-Robots-Tag": "noai, noimageai"}, HTML, "X-Robots-Tag"),
        ("/page", {"TDM-Reservation": "1"}, HTML, "TDM-Reservation"),
        ("/page", {"Content-Usage": "train-ai=n;x=1"}, HTML, "Content-Usage"),
    ],
)
def test_an_opt_out_of_any_kind_is_a_reject_that_names_it(
    site: Site, tmp_path: Path, path: str, headers: dict[str, str], body: bytes, said: str
):
    site.answers |= {"/page": (200, {}, HTML), path: (200, headers, body)}
    problem, detail = site.problem(tmp_path)
    assert problem == "opt-out"
    assert said in detail


def test_what_an_opt_out_covers_is_not_kept(site: Site, tmp_path: Path):
    site.answers["/page"] = (200, {"X-Robots-Tag": "noai"}, b"<html>a page that says no</html>")
    site.problem(tmp_path)
    assert b"says no" not in b"".join(record for record in _bodies(tmp_path))


def test_a_page_without_any_refusal_is_kept_and_the_files_of_its_site_are_asked_once(site: Site, tmp_path: Path):
    site.answers |= {"/page": (200, {}, HTML), "/other": (200, {}, HTML)}
    assert site.problem(tmp_path) == ("", "")
    assert site.problem(tmp_path, "/other") == ("", "")
    assert sorted(site.asked) == ["/.well-known/tdmrep.json", "/ai.txt", "/other", "/page", "/robots.txt"]


def test_an_html_page_in_place_of_ai_txt_is_no_opt_out(site: Site, tmp_path: Path):
    site.answers |= {"/page": (200, {}, HTML), "/ai.txt": (200, {}, b"<html>Disallow: / is what we never say</html>")}
    assert site.problem(tmp_path) == ("", "")


def test_a_page_asked_for_again_travels_only_when_it_changed(site: Site, tmp_path: Path):
    tags = iter(['"one"', '"one"', '"two"'])

    def answer(request: BaseHTTPRequestHandler) -> Answer:
        tag = next(tags)
        unchanged = request.headers.get("If-None-Match") == tag
        return (304, {"ETag": tag}, b"") if unchanged else (200, {"ETag": tag}, HTML + tag.encode())

    site.answers["/page"] = answer

    async def work(web: Web) -> list[bytes]:
        url = "http://site.test/page"
        return [(await web.fetch(url, again=again)).body for again in (False, True, True, False)]

    one, same, two, kept = site.run(tmp_path, work)  # type: ignore[misc]
    assert one == same == HTML + b'"one"'
    assert two == kept == HTML + b'"two"'
    assert _kinds(tmp_path)["revisit"] == 1


def test_a_host_that_asks_for_a_long_pause_is_not_asked_for_other_pages(site: Site, tmp_path: Path):
    site.answers |= {"/page": (429, {"Retry-After": "3600"}, b""), "/other": (200, {}, HTML)}
    assert site.problem(tmp_path)[0] == "status"
    assert site.problem(tmp_path, "/other")[0] == "paused"
    assert "/other" not in site.asked


def test_robots_txt_that_redirects_for_ever_closes_the_host(site: Site, tmp_path: Path):
    site.answers |= {"/robots.txt": (302, {"Location": "/robots.txt"}, b""), "/page": (200, {}, HTML)}
    assert site.problem(tmp_path)[0] == "robots"


def test_every_hop_and_request_is_in_the_archive_with_digests_that_fit(site: Site, tmp_path: Path):
    site.answers |= {"/page": (302, {"Location": "/next"}, b"moved"), "/next": (200, {"X-Odd": "a\tb \x80"}, HTML)}
    assert site.problem(tmp_path) == ("", "")
    kinds = _kinds(tmp_path)
    assert kinds["warcinfo"] == 1
    assert kinds["request"] == kinds["response"] == 5  # robots, page, next, tdmrep, ai.txt
    assert fetch_hostile.damaged(tmp_path / "pages.warc.gz") == 0


def test_a_redirect_to_a_page_that_is_archived_does_not_fetch_it_again(site: Site, tmp_path: Path):
    site.answers |= {"/page": (302, {"Location": "/next"}, b""), "/next": (200, {}, HTML)}

    async def work(web: Web) -> list[tuple[str, bytes]]:
        got = await asyncio.gather(*(web.fetch("http://site.test/next") for _ in range(3)))
        got += [await web.fetch("http://site.test/page") for _ in range(2)]
        return [(fetched.problem, fetched.body) for fetched in got]

    assert site.run(tmp_path, work) == [("", HTML)] * 5
    assert site.run(tmp_path, work) == [("", HTML)] * 5
    assert site.asked.count("/next") == site.asked.count("/page") == 1


def test_a_packed_body_is_stored_unpacked_and_says_so(site: Site, tmp_path: Path):
    packed = gzip.compress(HTML)
    site.answers["/page"] = (200, {"Content-Encoding": "gzip"}, packed)
    assert site.problem(tmp_path) == ("", "")
    with (tmp_path / "pages.warc.gz").open("rb") as file:
        for record in ArchiveIterator(file):
            if record.headers.get("WARC-Target-URI", "").endswith("/page") and record.headers["WARC-Type"] == "response":
                assert record.http_headers["X-Crawler-Content-Encoding"] == "gzip"
                assert record.http_headers["Content-Length"] == str(len(HTML))
                assert record.reader.read() == HTML


def test_many_urls_are_fetched_over_hosts_and_a_second_run_asks_nothing(site: Site, tmp_path: Path):
    site.answers |= {f"/{number}": (200, {}, HTML) for number in range(12)}

    async def work(web: Web) -> list[str]:
        urls = [f"http://site.test/{number}" for number in range(12)]
        return sorted([fetched.problem async for fetched in web.fetch_all(urls, "job")])

    assert site.run(tmp_path, work) == [""] * 12
    before = len(site.asked)
    assert site.run(tmp_path, work) == [""] * 12
    assert len(site.asked) == before


def test_a_crawl_delay_is_kept_between_any_two_requests_and_the_politeness_of_a_host_can_be_asked(site: Site, tmp_path: Path):
    site.answers |= {"/page": (200, {}, HTML), "/robots.txt": (200, {}, b"User-agent: *\nCrawl-delay: 0.2\n")}

    async def work(web: Web) -> object:
        await web.fetch("http://site.test/page")
        return web.politeness()

    (summary,) = site.run(tmp_path, work)  # type: ignore[misc]
    assert (summary.host, summary.requests, summary.crawl_delay, summary.robots) == ("site.test", 4, 0.2, "rules")
    assert summary.waited_seconds > 0
    assert min(later - sooner for sooner, later in pairwise(site.moments)) > 0.17


def test_a_redirect_of_the_public_web_does_not_lead_into_a_named_private_range(site: Site, tmp_path: Path):
    from castalia.web.addresses import CheckedResolver, check_literal, parse_networks, public_only

    networks = parse_networks(["10.0.0.0/8"])
    resolver = CheckedResolver(networks, {"site.test": "127.0.0.1:80"})
    assert check_literal("10.1.2.3", networks)
    with public_only(True):
        with pytest.raises(ForbiddenAddress):
            check_literal("10.1.2.3", networks)
        with pytest.raises(ForbiddenAddress):
            asyncio.run(resolver.resolve("site.test", 80))


def test_every_hostile_server_ends_in_a_typed_outcome_and_no_address_is_reached_that_must_not_be(tmp_path: Path):
    figures = fetch_hostile.measure(tmp_path / "hostile")
    assert figures["hostile_cases"] > 150
    zero = ("hostile_hangs", "hostile_wrong", "hostile_escapes", "hostile_warc_damaged")
    assert {name: figures[name] for name in zero} == dict.fromkeys(zero, 0)
    assert figures["hostile_memory_mb"] < 200


def test_robots_txt_is_read_as_the_standard_says():
    assert fetch_robots.wrong() == []


def test_spellings_of_a_page_are_merged_and_pages_are_not():
    assert fetch_urls.wrong() == []


def _bodies(folder: Path) -> list[bytes]:
    with (folder / "pages.warc.gz").open("rb") as file:
        return [record.reader.read() for record in ArchiveIterator(file)]


def _kinds(folder: Path) -> dict[str, int]:
    kinds: dict[str, int] = {}
    with (folder / "pages.warc.gz").open("rb") as file:
        for record in ArchiveIterator(file):
            kinds[record.headers["WARC-Type"]] = kinds.get(record.headers["WARC-Type"], 0) + 1
    return kinds
