"""Runs the attacks as the user this process is, with canaries of the host around them; prints what came of it as JSON.

Also a program of its own (`python -m benchmarks.sandbox_battery`), because the same battery runs as root and as an ordinary user.
"""

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import sandbox_attacks, sandbox_attacks_kernel
from benchmarks.sandbox_attacks import PRELUDE
from castalia.errors import SandboxUnavailable
from castalia.sandbox import Failure, Limits, Outcome, Sandbox

FAMILIES = {**sandbox_attacks.FAMILIES, **sandbox_attacks_kernel.FAMILIES}
_MOST_INODES = 100_000  # that others on this machine may have used meanwhile
_CROWD_LIMITS = Limits(seconds=60, memory_mb=64, processes=4, files_mb=1)
_DEATH = """
import sys
from castalia.sandbox import Limits, Sandbox
with Sandbox(tier=sys.argv[1]) as sandbox:
    print("open", flush=True)
    sandbox.run(["python", "-c", "import os, time\\nfor _ in range(2): os.fork()\\ntime.sleep(60)", sys.argv[2]], limits=Limits(seconds=90))
"""


class Canaries(NamedTuple):
    """What of the host must stay as it is, and what must never be heard of."""

    folder: Path
    secret: str
    marker: str
    victim: subprocess.Popen[bytes]
    listeners: tuple[socket.socket, ...]
    mailboxes: tuple[socket.socket, ...]
    port: int
    abstract: str
    core_pattern: str
    free_inodes: int

    def intact(self) -> list[str]:
        """What was touched, empty where nothing was."""
        touched: list[str] = []
        canary = self.folder / "canary"
        if sorted(path.name for path in self.folder.iterdir()) != ["box", "canary"] or canary.read_text() != f"canary {self.secret}":
            touched.append("the open folder")
        if canary.stat().st_mode & 0o777 != 0o666 or canary.stat().st_mtime < 1000:
            touched.append("the canary's mode or time")
        if self.victim.poll() is not None:
            touched.append("a process of the host was killed")
        elif os.getpriority(os.PRIO_PROCESS, self.victim.pid) != os.getpriority(os.PRIO_PROCESS, 0):
            touched.append("a process of the host was slowed")
        elif os.sched_getaffinity(self.victim.pid) != os.sched_getaffinity(0):
            touched.append("a process of the host was moved to other cores")
        if _free_inodes() < self.free_inodes - _MOST_INODES:
            touched.append("the host's inodes")
        if _core_pattern() != self.core_pattern:
            touched.append("core_pattern")
        for listener in self.listeners:
            with contextlib.suppress(BlockingIOError):
                listener.accept()[0].close()
                touched.append("a listener of the host was reached")
        for mailbox in self.mailboxes:
            with contextlib.suppress(BlockingIOError):
                mailbox.recv(1)
                touched.append("a datagram reached the host")
        return touched


@contextlib.contextmanager
def canaries() -> Generator[Canaries]:
    """Sets the canaries up; the secret is in this process's environment."""
    secret, marker = f"secret-{secrets.token_hex(8)}", f"host-{secrets.token_hex(8)}"
    victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)", marker])
    os.environ["CASTALIA_CANARY"] = secret
    with contextlib.ExitStack() as stack:
        name = stack.enter_context(tempfile.TemporaryDirectory(prefix="canary-"))
        tcp, abstract = (stack.enter_context(socket.socket(family)) for family in (socket.AF_INET, socket.AF_UNIX))
        mailboxes = tuple(stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) for _ in range(2))
        folder = Path(name)
        folder.chmod(0o777)
        (folder / "canary").write_text(f"canary {secret}")
        (folder / "canary").chmod(0o666)
        for mailbox, address in zip(mailboxes, (f"{folder}/box", f"\0{marker}-box"), strict=True):
            mailbox.bind(address)
            mailbox.setblocking(False)
        (folder / "box").chmod(0o666)
        tcp.bind(("127.0.0.1", 0))
        abstract.bind("\0" + marker)
        for listener in (tcp, abstract):
            listener.listen()
            listener.setblocking(False)
        try:
            port = tcp.getsockname()[1]
            yield Canaries(folder, secret, marker, victim, (tcp, abstract), mailboxes, port, marker, _core_pattern(), _free_inodes())
        finally:
            del os.environ["CASTALIA_CANARY"]
            victim.kill()
            victim.wait()


def run_battery(sandbox: Sandbox, *, crowd: int, every: int = 1) -> dict[str, Any]:
    """Runs every attack (with `every` > 1 only each so-manieth), then the attacks that need the host's hand."""
    escapes: list[str] = []
    attacks = 0
    with canaries() as host:
        for family, members in FAMILIES.items():
            for name in list(members)[::every]:
                attacks += 1
                escapes += [f"{family}: {name}: {what}" for what in _attack(sandbox, host, family, name)]
        for name, found in (
            ("values on every descriptor", _forged_values(sandbox)),
            (f"{crowd} jails at once", _crowd(sandbox, crowd)),
            ("the host killed", _host_killed(sandbox.tier)),
        ):
            attacks += 1
            escapes += [f"{name}: {what}" for what in found]
        touched = host.intact()
        survivors = processes_with(f"{host.marker}-stay")
    return {
        "tier": sandbox.tier, "user": os.geteuid(), "attacks": attacks, "escapes": escapes, "touched": touched, "survivors": len(survivors),
    }  # fmt: skip


def processes_with(marker: str) -> list[int]:
    """Ids of the living processes that have the marker in their command line."""
    found: list[int] = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdigit() and marker.encode() in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


def _attack(sandbox: Sandbox, host: Canaries, family: str, name: str) -> list[str]:
    attack = FAMILIES[family][name]
    places = {
        "folder": str(host.folder), "secret": host.secret, "host": host.marker, "victim": host.victim.pid, "port": host.port,
        "abstract": host.abstract, "python": "sys.executable or '/python/bin/python'",
    }  # fmt: skip
    source = (PRELUDE + attack.source + "\nprint('tried', flush=True)\n").format(**places)
    outcome = sandbox.run(["python", "-"], stdin=source.encode(), limits=attack.limits)
    found = [line[8:] for line in outcome.stdout.decode("utf-8", "replace").splitlines() if line.startswith("ESCAPED ")]
    found += _leaks(host, outcome)
    if not attack.ends and b"tried" not in outcome.stdout:
        found.append(f"it was not tried to the end: {outcome.kind} {outcome.detail} {outcome.stderr[-200:]!r}")
    if attack.ends and outcome.seconds > attack.limits.seconds + 20:
        found.append(f"it took {outcome.seconds:.0f} s")
    if left := processes_with(f"{host.marker}-stay"):
        found.append(f"{len(left)} processes stayed")
    return found


def _leaks(host: Canaries, outcome: Outcome) -> list[str]:
    everything = outcome.stdout + outcome.stderr + b"".join(outcome.files.values())
    found = ["the secret came out"] if host.secret.encode() in everything else []
    if b"root:x:0" in everything:
        found.append("the password file came out")
    if sum(map(len, outcome.files.values())) > 4 << 20:
        found.append("more files came back than allowed")
    return found + [f"the name {name!r} came back" for name in outcome.files if ".." in Path(name).parts or not name.isprintable()]


def _forged_values(sandbox: Sandbox) -> list[str]:
    """A candidate that writes what it likes on every descriptor gives no value for a call it never made."""
    candidate = (
        "import json, os\nfor n in range(3, 64):\n"
        "    for body in (json.dumps({'kind': 'ok', 'value': '42'}).encode(), b'v42'):\n"
        "        try: os.write(n, len(body).to_bytes(4, 'big') + body)\n        except OSError: pass\nos._exit(0)\n"
    )
    [result] = sandbox.evaluate("python", candidate, [{"call": "f"}])
    return [] if isinstance(result, Failure) else [f"a value was forged: {result}"]


def _crowd(sandbox: Sandbox, count: int) -> list[str]:
    """So many jails at the same time: each gives its own answer."""
    program = "import sys, time; time.sleep(1); print(sys.argv[1])"
    outcomes = sandbox.each(
        [lambda n=n: sandbox.run(["python", "-c", program, str(n)], limits=_CROWD_LIMITS) for n in range(count)], workers=count
    )
    wrong = [n for n, outcome in enumerate(outcomes) if outcome.stdout.strip() != str(n).encode()]
    return [f"{len(wrong)} jails gave no or another's answer, e.g. {outcomes[wrong[0]]}"] if wrong else []


def _host_killed(tier: str) -> list[str]:
    """The process that runs a sandbox is killed: its jails go with it."""
    marker = f"orphan-{secrets.token_hex(8)}"
    child = subprocess.Popen([sys.executable, "-c", _DEATH, tier, marker], stdout=subprocess.PIPE)
    assert child.stdout
    child.stdout.readline()
    deadline = time.monotonic() + 20
    while len(processes_with(marker)) < 4 and time.monotonic() < deadline:
        time.sleep(0.05)
    before = len(processes_with(marker))
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    deadline = time.monotonic() + 5
    while (left := processes_with(marker)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in left:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    if before < 4:
        return [f"the jail to be orphaned had {before} processes"]
    return [f"{len(left)} processes outlived their host"] if left else []


def _free_inodes() -> int:
    return os.statvfs(tempfile.gettempdir()).f_ffree


def _core_pattern() -> str:
    return Path("/proc/sys/kernel/core_pattern").read_text()


def main(arguments: Mapping[str, Any]) -> int:
    """Prints one line of JSON: the battery's result, or why it can't run."""
    try:
        with Sandbox(tier=arguments["tier"]) as sandbox:
            result = run_battery(sandbox, crowd=arguments["crowd"], every=arguments["every"])
    except SandboxUnavailable as error:
        result = {"unavailable": str(error)}
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
