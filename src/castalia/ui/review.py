"""The review page: one record a screen, the passages it cites beside it, one key a label.

It is served on loopback to whoever holds the token, asks nobody for anything, and keeps nothing itself: a label is on the disk before the
next record shows, so a reload, a crash or a second reviewer loses nothing. A note and failure modes without a label yet are drafts of the
browser, which drops them when a page tells that the label is kept. What the page shows was written by models and by strangers' pages: the
template engine escapes all of it, and the page's policy lets no script run but the one with this answer's nonce.
"""

import http.cookies
import http.server
import json
import secrets
import sys
import threading
from collections.abc import Mapping
from http import HTTPStatus
from importlib import resources
from typing import Any, cast, get_args
from urllib.parse import parse_qs, urlencode, urlsplit

import jinja2

from castalia.errors import CastaliaError, ConfigError, InputError, Interrupted
from castalia.quality.labels import add_label, read_labels
from castalia.records import FailureMode, LabelValue
from castalia.summary.material import Source, material
from castalia.summary.reviewing import Review, reviewer_name

_LONGEST_FORM = 64 * 1024
_LONGEST_NOTE = 2_000
_LABELS: tuple[LabelValue, ...] = ("approve", "reject", "flag")
_FIELDS = {"token", "reviewer", "record", "said", "label", "modes", "note"}


def serve_review(review: Review, *, reviewer: str | None, port: int, as_json: bool) -> int:
    """Serves the page until interrupted and prints its address. Raises InputError for a port that can't be used, Interrupted at the end."""
    try:
        server = ReviewServer(review, port)
    except (OSError, OverflowError) as error:
        raise InputError(f"port {port} of this machine can't be used: {error}; name another with --port, or none") from error
    address = server.address(reviewer)
    with server:
        try:
            print(json.dumps({"address": address}) if as_json else f"{address}\n(for browsers of this machine; Ctrl-C ends it)", flush=True)
            server.serve_forever()
        except KeyboardInterrupt:
            raise Interrupted(f"stopped; every label given is in {str(review.workspace.labels)!r}") from None
    return 0


class ReviewServer(http.server.ThreadingHTTPServer):
    """The page of one review, for as many reviewers at once as like."""

    daemon_threads = True

    def __init__(self, review: Review, port: int = 0) -> None:
        self.review = review
        self.token = secrets.token_urlsafe(24)
        self.turn = threading.Lock()  # one answer at a time: each takes milliseconds, and the next must see its label
        self.skipped: dict[str, set[str]] = {}
        super().__init__(("127.0.0.1", port), _Handler)
        self.port = int(self.server_address[1])
        self.cookie = f"castalia-review-{self.port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of a browser that went away before its answer came, as one does that loads a page anew."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def address(self, reviewer: str | None = None) -> str:
        """What to open in a browser; it holds the token."""
        return f"http://127.0.0.1:{self.port}/?" + urlencode({"token": self.token, **({"reviewer": reviewer} if reviewer else {})})

    def screen(self, reviewer: str, *, first: str, said: str) -> Mapping[str, Any]:
        """What one screen holds. `first` is shown if it waits; of `said` is told what checks thought, if this reviewer labeled it."""
        with self.turn:
            item, waiting = self.review.next(reviewer, self.skipped.get(reviewer, ()), first)
            labels = {label.record: label for label in read_labels(self.review.workspace.labels) if label.reviewer == reviewer}
            label = labels.get(said)
            again = self.review.taken_back(reviewer, item.record) if item else None
            return {
                "reviewer": reviewer,
                "item": item,
                "waiting": waiting,
                "labeled": len(labels),
                "found": material(self.review.workspace, item.record) if item else None,
                "note": again.note if again else "",
                "ticked": again.modes if again else (),
                "last": (label.label, self.review.told(said, label.label)) if label else None,
                "kept": said if label else "",
            }

    def take(self, reviewer: str, form: Mapping[str, list[str]]) -> Mapping[str, str]:
        """Does what a button says; where the page goes on. Raises ConfigError for what no button of the page sends and
        StoreError; then nothing was kept."""
        record, label, note = (form.get(name, [""])[0] for name in ("record", "label", "note"))
        note = note.replace("\r\n", "\n").replace("\r", "\n")  # forms send two characters for what the page counts as one
        modes = form.get("modes", [])
        if label == "again":
            self.skipped.pop(reviewer, None)
            return {}
        if label not in (*_LABELS, "skip", "undo"):
            raise ConfigError(f"label {label!r:.40} is unknown; labels are {', '.join(_LABELS)}")
        if label != "undo" and record not in {item.record for item in self.review.queue}:
            raise ConfigError(f"record {record!r:.80} is not in the review queue; nobody was asked about it")
        if not set(modes) <= set(get_args(FailureMode)) or len(note) > _LONGEST_NOTE:
            raise ConfigError(f"failure modes are {', '.join(get_args(FailureMode))}, and a note has at most {_LONGEST_NOTE:,} characters")
        path = self.review.workspace.labels
        with self.turn:
            skipped = self.skipped.setdefault(reviewer, set())
            if label == "skip":
                skipped.add(record)
                return {}
            if label == "undo":
                last = self.review.last(reviewer)
                if last is None:
                    return {}
                add_label(path, last.record, reviewer, "undone")
                skipped.discard(last.record)
                return {"record": last.record}
            kept = cast("tuple[FailureMode, ...]", tuple(dict.fromkeys(modes)))
            add_label(path, record, reviewer, label, modes=kept, note=note.strip())
            return {"said": record}


class _Handler(http.server.BaseHTTPRequestHandler):
    """GET / shows a record, POST /label takes a label and leads back."""

    timeout = 30
    server: ReviewServer  # type: ignore[assignment]

    def do_GET(self) -> None:
        """The page, or the way to it for who has just come with the token."""
        place = urlsplit(self.path)
        if place.path != "/":
            return self._refuse(HTTPStatus.NOT_FOUND, "There is nothing here; the page is at /.")
        given = {name: values[0] for name, values in parse_qs(place.query).items() if name in _FIELDS}
        if "token" in given and self._ours() and secrets.compare_digest(given.pop("token").encode(), self.server.token.encode()):
            return self._lead(given, cookie=f"{self.server.cookie}={self.server.token}; HttpOnly; SameSite=Strict; Path=/")
        if not self._admitted():
            return self._refuse(HTTPStatus.FORBIDDEN, "Open the address that `castalia review --page` printed; it holds this page's token.")
        try:
            name = reviewer_name(given["reviewer"]) if given.get("reviewer") else ""
            screen = self.server.screen(name, first=given.get("record", ""), said=given.get("said", "")) if name else {"reviewer": ""}
        except CastaliaError as error:
            return self._fail(error)
        return self._show(HTTPStatus.OK, screen)

    def do_POST(self) -> None:
        """Takes one label."""
        length = self.headers.get("Content-Length", "")
        if not self._admitted() or self.headers.get("Origin", f"http://{self.headers.get('Host')}") != f"http://{self.headers.get('Host')}":
            return self._refuse(HTTPStatus.FORBIDDEN, "This label did not come from the page; nothing was kept.")
        if self.path != "/label" or not length.isdecimal() or int(length) > _LONGEST_FORM:
            return self._refuse(HTTPStatus.BAD_REQUEST, "This is no form of the page; nothing was kept.")
        form = parse_qs(self.rfile.read(int(length)).decode("utf-8", "replace"), keep_blank_values=True)
        try:
            reviewer = reviewer_name(form.get("reviewer", [""])[0])
            return self._lead({"reviewer": reviewer, **self.server.take(reviewer, form)})
        except CastaliaError as error:
            return self._fail(error)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: requests hold the token."""

    def _ours(self) -> bool:
        """Whether it was asked for under our own name: another name that leads here is a trick (DNS rebinding)."""
        return self.headers.get("Host") in (f"127.0.0.1:{self.server.port}", f"localhost:{self.server.port}")

    def _admitted(self) -> bool:
        found: http.cookies.SimpleCookie = http.cookies.SimpleCookie()
        try:
            found.load(self.headers.get("Cookie", ""))
        except http.cookies.CookieError:
            return False
        morsel = found.get(self.server.cookie)
        return self._ours() and morsel is not None and secrets.compare_digest(morsel.value.encode(), self.server.token.encode())

    def _lead(self, query: Mapping[str, str], cookie: str = "") -> None:
        self.send_response(HTTPStatus.SEE_OTHER)
        self.send_header("Location", "/?" + urlencode(query) if query else "/")
        if cookie:
            self.send_header("Set-Cookie", cookie)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _fail(self, error: CastaliaError) -> None:
        status = HTTPStatus.BAD_REQUEST if isinstance(error, ConfigError) else HTTPStatus.INTERNAL_SERVER_ERROR
        self._refuse(status, str(error))

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self._show(status, {"reviewer": "", "refused": why})

    def _show(self, status: HTTPStatus, screen: Mapping[str, Any]) -> None:
        nonce = secrets.token_urlsafe(16)
        page = render_review(screen, nonce).encode("utf-8", "replace")
        allowed = f"style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; form-action 'self'"
        policy = f"default-src 'none'; {allowed}; base-uri 'none'"
        self.send_response(status)
        for name, value in {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Length": str(len(page)),
            "Content-Security-Policy": f"{policy}; frame-ancestors 'none'",
            "Referrer-Policy": "same-origin",
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        }.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(page)


def render_review(screen: Mapping[str, Any], nonce: str) -> str:
    """One screen as HTML; every value is escaped by the template engine."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(resources.files("castalia.ui").joinpath("pages/review.html.j2").read_text(encoding="utf-8"))
    found = screen.get("found")
    sources = [(source.url, _pieces(source)) for source in found.sources] if found else []
    nothing = {"item": None, "last": None, "kept": "", "note": "", "ticked": (), "refused": ""}
    return template.render({**nothing, **screen}, sources=sources, modes=get_args(FailureMode), nonce=nonce)


def _pieces(source: Source) -> list[tuple[int, bool, str, str, str]]:
    """(number, cited, before the quote, quote, after it) of each block."""
    pieces: list[tuple[int, bool, str, str, str]] = []
    for block in source.blocks:
        before, quote, after = block.text.partition(block.quote) if block.quote else (block.text, "", "")
        pieces.append((block.number, block.cited, before, quote, after))
    return pieces
