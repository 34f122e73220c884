"""A site of a few pages on loopback, which remembers what it was asked."""

import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HOST = "handbook.localhost"
LICENCE = """MIT License

Copyright (c) 2021 Ann Author

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation
files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy,
modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the
Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""
ISC = """Copyright (c) 2019, Bob Builder

Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted, provided
that the above copyright notice and this permission notice appear in all copies.

THE SOFTWARE IS PROVIDED "AS IS" AND THE AUTHOR DISCLAIMS ALL WARRANTIES WITH REGARD TO THIS SOFTWARE INCLUDING ALL IMPLIED
WARRANTIES OF MERCHANTABILITY AND FITNESS. IN NO EVENT SHALL THE AUTHOR BE LIABLE FOR ANY SPECIAL, DIRECT, INDIRECT, OR
CONSEQUENTIAL DAMAGES OR ANY DAMAGES WHATSOEVER RESULTING FROM LOSS OF USE, DATA OR PROFITS, WHETHER IN AN ACTION OF CONTRACT,
NEGLIGENCE OR OTHER TORTIOUS ACTION, ARISING OUT OF OR IN CONNECTION WITH THE USE OR PERFORMANCE OF THIS SOFTWARE.
"""
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
        "/LICENSE": (200, "text/plain", LICENCE),
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
