"""How a client is run against the server on loopback: a process and a folder of its own, bounded in time, killed with its children."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.model_server import ModelServer

DELAY = 0.05
IN_FLIGHT = 64
KILLED_CALLS, KILL_AT = 1000, 970
REFUSED = 0.05
LIMIT_SECONDS = 240.0
PEER_SECONDS = 120.0


class Peer(NamedTuple):
    """A framework that can be run."""

    name: str
    """With its version."""
    command: list[str]
    """Interpreter and script; takes the arguments of `benchmarks.oracle_client`."""


Client = str | Peer
"""A peer, or a name that `benchmarks.oracle_client` knows."""


class ClientFailed(Exception):
    """A client ended badly."""


class Bench:
    """Runs clients against the server, each in a folder and a process of its own."""

    def __init__(self, server: ModelServer, root: Path):
        self.server = server
        self._root = root
        self._number = 0

    def folder(self) -> Path:
        """A fresh one."""
        self._number += 1
        path = self._root / str(self._number)
        path.mkdir()
        return path

    def measure(self, client: Client, calls: int, in_flight: int, folder: Path, **script: Any) -> dict[str, Any]:
        """Runs a client to its end. Raises ClientFailed when it doesn't get there in time."""
        self.server.script(**{"delay": DELAY, **script})
        limit = LIMIT_SECONDS if isinstance(client, str) else PEER_SECONDS
        output, errors = folder / "output", folder / "errors"
        with output.open("wb") as out, errors.open("wb") as err:
            child = self._start(client, calls, in_flight, folder, out, err)
            try:
                code = child.wait(limit)
            except subprocess.TimeoutExpired:
                raise ClientFailed(f"no end within {limit:.0f} s") from None
            finally:
                _end(child)
        if code:
            raise ClientFailed((errors.read_text(errors="replace").strip().splitlines() or ["no message"])[-1][:300])
        return json.loads(output.read_text(errors="replace").strip().splitlines()[-1])

    def kill(self, client: Client, folder: Path) -> None:
        """Starts a client with KILLED_CALLS calls and kills it and its children when KILL_AT answers are on the bill."""
        self.server.script(delay=DELAY)
        with (folder / "log").open("wb") as log:
            child = self._start(client, KILLED_CALLS, IN_FLIGHT, folder, log, log)
            until = time.monotonic() + (LIMIT_SECONDS if isinstance(client, str) else PEER_SECONDS)
            while self.server.bill().answered < KILL_AT and child.poll() is None and time.monotonic() < until:
                time.sleep(0.005)
            _end(child)

    def _start(self, client: Client, calls: int, in_flight: int, folder: Path, output: Any, errors: Any) -> subprocess.Popen[bytes]:
        start = [sys.executable, "-m", "benchmarks.oracle_client", client] if isinstance(client, str) else client.command
        command = [*start, self.server.base_url, str(calls), str(in_flight), str(folder)]
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, start_new_session=True, env=environment(folder)
        )


def name_of(client: Client) -> str:
    """For tables."""
    return client if isinstance(client, str) else client.name


def environment(folder: Path) -> dict[str, str]:
    """Of every client: nothing but loopback, no telemetry, everything that it keeps in its folder."""
    return {
        **os.environ, "OPENAI_API_KEY": "sk-none", "PYTHONPATH": str(Path(__file__).parents[1]), "HOME": str(folder), "NO_PROXY": "127.0.0.1",
        "DO_NOT_TRACK": "1", "TELEMETRY_ENABLED": "0", "NEMO_TELEMETRY_ENABLED": "false", "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_CACHE": str(folder / "datasets"), "LITELLM_LOCAL_MODEL_COST_MAP": "True", "CURATOR_DISABLE_RICH_DISPLAY": "1",
    }  # fmt: skip


def _end(child: subprocess.Popen[bytes]) -> None:
    """SIGKILL for it and its group, if it still runs."""
    if child.poll() is None:
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
