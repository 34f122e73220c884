"""A world of three pages: the Pegboard guide on loopback, its recordings, a configuration, and the command line to work on it.

Everything is served, answered and configured as a user would have it; commands run as child processes.
"""

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml
from pegboard import DEV_ANSWERS, HOST, SITE, lines

PAGES = Path(__file__).with_name("site")


@dataclass
class Site:
    """What is served, and how often each path was asked for and answered. `stall_after` leaves later requests without an answer."""

    files: dict[str, tuple[str, str]]
    asked: Counter[str] = field(default_factory=Counter[str])
    answered: Counter[str] = field(default_factory=Counter[str])
    stall_after: int | None = None
    stopped: threading.Event = field(default_factory=threading.Event)
    address: str = ""

    @property
    def stalls(self) -> bool:
        return self.stall_after is not None and self.answered.total() >= self.stall_after


def pages() -> dict[str, tuple[str, str]]:
    """Path to (media type, text) of the guide."""
    found = {f"/guide/{path.name}": ("text/html; charset=utf-8", path.read_text(encoding="utf-8")) for path in PAGES.glob("guide/*.html")}
    found["/guide/"] = found.pop("/guide/index.html")
    return found | {"/LICENSE": ("text/plain; charset=utf-8", (PAGES / "LICENSE").read_text(encoding="utf-8"))}


@contextmanager
def serve(files: dict[str, tuple[str, str]]) -> Generator[Site]:
    """Serves `files` on a free loopback port."""
    site = Site(files)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.asked[self.path] += 1
            stalled = site.stalls
            while site.stalls and not site.stopped.wait(0.02):
                pass
            if stalled:  # whoever asked is gone
                return
            kind, text = site.files.get(self.path, ("text/plain", ""))
            self.send_response(200 if self.path in site.files else 404)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())
            site.answered[self.path] += 1

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing; `asked` is the log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    site.address = f"127.0.0.1:{server.server_address[1]}"
    try:
        yield site
    finally:
        site.stopped.set()
        server.shutdown()
        server.server_close()
        thread.join()


def command(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    """`castalia ARGUMENTS` as a child process without keys or a terminal."""
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_API_KEY")} | {"OMP_NUM_THREADS": "1"}
    line = [sys.executable, "-m", "castalia", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(line, cwd=cwd, env=environment, text=True, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe)


def finish(child: subprocess.Popen[str], expect: int = 0, seconds: float = 300) -> "Done":
    """Waits for a command to end. Fails the test when its exit code isn't `expect`."""
    with child:
        try:
            out, err = child.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            raise
    assert child.returncode == expect, f"{child.args!r} ended with {child.returncode}:\n{out}\n{err}"
    return Done(out, err)


Seen = Callable[[dict[str, Any]], bool]


def started(stage: str) -> Seen:
    """True at the moment a stage begins, so that a kill hits it in the middle."""
    return lambda fact: fact.get("event") == "StageStarted" and fact["stage"] == stage


def finished_with(stage: str) -> Seen:
    """True when a stage has been published."""
    return lambda fact: fact.get("event") == "StageFinished" and fact["stage"] == stage


def kill_when(child: subprocess.Popen[str], seen: Seen) -> None:
    """Reads the lines of a command with `--json` until one says so, then kills it; fails the test when it ends before."""
    assert child.stdout is not None
    found = any(seen(json.loads(line)) for line in child.stdout)
    kill(child)
    assert found, "the run ended before the moment to kill it came"


def kill(child: subprocess.Popen[str]) -> None:
    """SIGKILL, which gives the process no chance to tidy up."""
    child.kill()
    assert child.wait(10) == -9, "the process had ended already"
    for stream in (child.stdout, child.stderr):
        assert stream is not None
        stream.close()


@dataclass(frozen=True)
class World:
    """A folder with castalia.yaml and recordings, and the site it reads."""

    folder: Path
    site: Site

    @property
    def work(self) -> Path:
        return self.folder / "work"

    @property
    def recordings(self) -> Path:
        return self.folder / "recordings"

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A command as a child process, in the folder of the world."""
        return command(*arguments, cwd=self.folder)

    def run(self, *arguments: str, expect: int = 0) -> "Done":
        """A command to its end. Fails the test when its exit code isn't `expect`."""
        return finish(self.start(*arguments), expect)

    def lock(self, version: int = 1) -> bytes:
        """What a release is made of."""
        return (self.work / "releases" / f"pegboard@v{version}" / "lock.json").read_bytes()

    def rewrite(self, change: Any) -> None:
        """The recordings once more, every line passed through `change`; None leaves it out."""
        kept = [changed for line in lines() if (changed := change(line)) is not None]
        write_recordings(self.recordings, kept)


@dataclass(frozen=True)
class Done:
    """What a finished command said."""

    out: str
    err: str

    @property
    def facts(self) -> list[dict[str, Any]]:
        """The lines of `--json`, each of them parsed."""
        return [json.loads(line) for line in self.out.splitlines()]


def write_recordings(folder: Path, found: Sequence[Mapping[str, Any]]) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in found), encoding="utf-8")


def make_world(folder: Path, site: Site, **changes: Any) -> World:
    """Writes configuration, recordings and the target's answers. `changes` are merged into the configuration's sections."""
    recorded = {"provider": "recorded", "model": "recorded for the pegboard world", "recordings": "recordings"}
    settings: dict[str, Any] = {
        "name": "pegboard", "domain": "the Pegboard notation for counting stock",
        "oracles": {"writer": recorded, "judge": recorded | {"model": "recorded (judge)"}, "target": recorded | {"model": "recorded (target)"}},
        "sources": {"sites": [SITE]},
        "stages": {
            "taxonomy": {"nodes_per_category": 1}, "design_suite": {"dev": 1, "gate": 1, "vault": 1},
            "build_preferences": {"pairs": 2}, "build_rewards": {"prompts": 1, "answers": 2},
        },
        "evaluation": {"recorded_answers": "target_dev.jsonl"},
        "execution": {
            "store": "work", "connect_to": {HOST: site.address}, "allow_private": ["127.0.0.0/8"], "pages_per_second": 200,
        },
    }  # fmt: skip
    for section, values in changes.items():
        settings[section] = settings.get(section, {}) | values
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "castalia.yaml").write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    write_recordings(folder / "recordings", lines())
    answers = [{"subject": subject, "text": f"<|channel|>final<|message|>{text}<|return|>"} for subject, text in DEV_ANSWERS.items()]
    (folder / "target_dev.jsonl").write_text("".join(json.dumps(answer) + "\n" for answer in answers), encoding="utf-8")
    return World(folder, site)


@dataclass(frozen=True)
class Finished:
    """A world after `plan`, `run` and `release`, with what each of them said."""

    world: World
    plan: Done
    run: Done
    release: Done
    asked: dict[str, int]


def wait_until(true: Callable[[], bool], seconds: float = 60) -> None:
    """Waits for something that another process does; fails the test when it does not come."""
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit, "what the test waits for did not come"
        time.sleep(0.002)
