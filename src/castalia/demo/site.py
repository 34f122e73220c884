"""The demo's site: the documentation inside Mako's source distribution, fetched by pip, unpacked in the sandbox, served on loopback.

Nobody here wrote it, its hash is pinned, and the real fetcher collects it like any other site.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from castalia.errors import InputError
from castalia.sandbox import Limits, Sandbox

NAME, VERSION = "mako", "1.4.3"
SHA256 = "cd6537fe88d5fec315c55c2f8529bc4ce7a9a352ad7db3eeaa6a66e2dd4ec37a"
HOST = f"{NAME}-{VERSION}.localhost"

# Runs in the sandbox: the archive is foreign. Only regular files that the site needs come out, under their own names.
_UNPACK = """
import io, pathlib, sys, tarfile
root = sys.argv[1] + "/"
with tarfile.open(fileobj=io.BytesIO(sys.stdin.buffer.read()), mode="r:gz") as archive:
    for member in archive:
        name = member.name.removeprefix(root)
        wanted = name in ("LICENSE", "PKG-INFO") or (name.startswith("doc/") and name.endswith(".html") and name.count("/") == 1)
        if member.isfile() and member.name.startswith(root) and wanted and ".." not in name:
            path = pathlib.Path(name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(archive.extractfile(member).read())
"""

# pip wants to know a source distribution's dependencies and asks its build backend, which would run the package's own code, outside
# the sandbox. This backend stands in its place and says what is known already.
_BACKEND = f"""
import pathlib

def get_requires_for_build_wheel(config_settings=None):
    return []

def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    made = pathlib.Path(metadata_directory, "{NAME}-{VERSION}.dist-info")
    made.mkdir()
    (made / "METADATA").write_text("Metadata-Version: 2.1\\nName: {NAME}\\nVersion: {VERSION}\\n")
    return made.name
"""


def prepare_site(folder: Path, sandbox: Sandbox) -> Path:
    """The folder with `doc/`, `LICENSE` and `PKG-INFO`; downloaded and unpacked once.

    Raises InputError when pip can't bring the archive, when its hash is not the pinned one, or when it does not unpack.
    """
    site = folder / "site"
    if (site / "complete").is_file():
        return site
    archive = _download(folder / "download")
    outcome = sandbox.run(
        ["python", "-c", _UNPACK, f"{NAME}-{VERSION}"],
        stdin=archive,
        limits=Limits(seconds=60, memory_mb=1024, files_mb=16, output_bytes=1_000_000),
    )
    if outcome.kind != "ok" or "LICENSE" not in outcome.files:
        raise InputError(
            f"{NAME}-{VERSION} did not unpack: {outcome.kind} {outcome.detail} {outcome.stderr.decode(errors='replace')[-300:]}"
        )
    for name, data in outcome.files.items():
        path = site / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (site / "complete").touch()  # last, so that its existence means that every file is there
    return site


@contextmanager
def serve_site(site: Path) -> Generator[str]:
    """Serves a folder on a free loopback port and yields `127.0.0.1:PORT`."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever, name="demo-site", daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Quiet(SimpleHTTPRequestHandler):
    """Logs nothing: the fetcher's archive is the log."""

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


def _download(folder: Path) -> bytes:
    """The source distribution, through pip and whatever index it is configured for. Nothing inside it is run."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{NAME}-{VERSION}.tar.gz"
    if not path.is_file():
        with tempfile.TemporaryDirectory() as made:
            done = _pip_download(Path(made), folder)
        if done.returncode != 0 or not path.is_file():
            raise InputError(
                f"pip could not download {NAME}=={VERSION} as source: {done.stderr.strip()[-400:]}. "
                f"Check the network, or put {path.name} into {str(folder)!r}"
            )
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != SHA256:
        raise InputError(f"{str(path)!r} has sha256 {found}, the pinned one is {SHA256}; delete it and run again")
    return data


def _pip_download(made: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """`pip download` with our own build backend in front of the package's, which has the name that the pinned archive asks for (PEP 517)."""
    requirement = made / "requirement.txt"
    requirement.write_text(f"{NAME}=={VERSION} --hash=sha256:{SHA256}\n", encoding="utf-8")
    backend = made / "backend" / "setuptools"
    backend.mkdir(parents=True)
    (backend / "__init__.py").touch()
    (backend / "build_meta.py").write_text(_BACKEND, encoding="utf-8")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-binary", ":all:"]
    return subprocess.run(
        [*command, "--no-build-isolation", "--require-hashes", "-r", str(requirement), "-d", str(folder)],
        env={**os.environ, "PYTHONPATH": str(backend.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
