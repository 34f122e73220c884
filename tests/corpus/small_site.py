"""A site of a few pages on loopback, which remembers what it was asked."""

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from licence_notices import MIT

HOST = "handbook.localhost"
TOPICS = ("kettles", "teapots", "leaves", "water", "cups", "strainers")


class Site:
    """What is served, by path: (status, type, body). `slow` seconds pass before each answer."""

    def __init__(self) -> None:
        self.pages: dict[str, tuple[int, str, str]] = {}
        self.answered: list[str] = []
        self.slow = 0.0
        self.port = 0

    @property
    def start(self) -> str:
        return f"http://{HOST}/doc/index.html"

    def options(self, out: object, *more: str) -> list[str]:
        """Arguments of `castalia` that collect the site into `out`."""
        connect = f"execution.connect_to={{{HOST}: '127.0.0.1:{self.port}'}}"
        return ["collect", self.start, "--out", str(out), "--rate", "500", "--set", connect, *more]


def page(title: str, text: str, extra: str = "") -> tuple[int, str, str]:
    return 200, "text/html", f"<html lang='en'><title>{title}</title><body><h1>{title}</h1><p>{text}</p>{extra}</body></html>"


def prose(topic: str) -> str:
    return " ".join(f"The handbook says in sentence {n} what a good cook has to know about {topic} and number {n * 7}." for n in range(12))


@contextmanager
def served() -> Generator[Site]:
    site = Site()
    names = [f"{topic}.html" for topic in TOPICS]
    links = "".join(f'<a href="{name}">{name}</a> ' for name in [*names, "copy.html", "noai.html", "private/x.html", "gone.html"])
    site.pages = {
        "/doc/index.html": page("Handbook", prose("everything"), links),
        **{f"/doc/{topic}.html": page(topic.title(), f"{prose(topic)} Write to ann.author@tea-house.org for more.") for topic in TOPICS},
        "/doc/copy.html": page(TOPICS[0].title(), f"{prose(TOPICS[0])} Write to ann.author@tea-house.org for more."),
        "/doc/noai.html": page("Own", prose("own things"), '<meta name="robots" content="noai">'),
        "/doc/private/x.html": page("Private", prose("private things")),
        "/robots.txt": (200, "text/plain", "User-agent: *\nDisallow: /doc/private/\n"),
        "/LICENSE": (200, "text/plain", MIT),
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(site.slow)
            status, kind, body = site.pages.get(self.path, (404, "text/plain", "nothing"))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(body.encode())
            site.answered.append(self.path)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
