"""Documentation from Debian packages, served on loopback with a log of every answer.

Run as a program it serves until its standard input closes: `python -m benchmarks.collect_site LOG HOST=FOLDER...`; the first line of
its output is the port. The log has a line per answer, `HOST PATH`, written once the whole answer was handed to the kernel.
"""

import sys
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import unquote, urlsplit

_TYPES = {".html": "text/html", ".txt": "text/plain", ".css": "text/css", ".gif": "image/gif", ".svg": "image/svg+xml"}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, folders: Mapping[str, Path], log: IO[str]) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.folders = {host: folder.resolve() for host, folder in folders.items()}
        self.answered = log
        self.lock = threading.Lock()


class _Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server = cast(_Server, self.server)
        host = (self.headers.get("Host") or "").partition(":")[0]
        root = server.folders.get(host)
        path = unquote(urlsplit(self.path).path)
        file = (root / path.lstrip("/")).resolve() if root else None
        found = file is not None and root is not None and file.is_relative_to(root) and file.is_file()
        body = file.read_bytes() if found and file is not None else b"nothing here"
        self.send_response(200 if found else 404)
        self.send_header(
            "Content-Type", _TYPES.get(file.suffix, "application/octet-stream") if found and file is not None else "text/plain"
        )
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        with server.lock:
            server.answered.write(f"{host} {self.path}\n")
            server.answered.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: the log of answers is what counts."""


def main(log: str, *sites: str) -> None:
    """Serves until standard input closes."""
    folders = {host: Path(folder) for host, _, folder in (site.partition("=") for site in sites)}
    with Path(log).open("a", encoding="utf-8") as file, _Server(folders, file) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(server.server_address[1], flush=True)
        sys.stdin.read()
        server.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
