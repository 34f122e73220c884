"""The host's side of one jail: send the request, read frames up to a cap, keep the deadline, count the memory, leave nobody behind."""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

from castalia.sandbox.values import Tier

_LOOK = 0.05  # seconds between two looks at the memory


@dataclass(frozen=True)
class Launch:
    """How a jail is started. `user` is the uid it drops to, None when this process is no root. `work` is the host's folder a jail of
    tier B works in; its size is watched, because no file system of its own bounds it."""

    tier: Tier
    argv: Sequence[str]
    environment: Mapping[str, str]
    user: int | None
    work: Path | None = None


class _Room(NamedTuple):
    memory_mb: int
    files_mb: int
    work: Path | None


@dataclass(frozen=True)
class Report:
    """What came out of a jail: its frames, which limit the host had to enforce, the last words on its stderr."""

    frames: list[dict[str, Any]]
    limit: Literal["timeout", "memory", "output"] | None
    complaint: str
    peak_memory_mb: float


def converse(launch: Launch, request: bytes, *, seconds: float, most_bytes: int, memory_mb: int, files_mb: int) -> Report:
    """Starts a jail, hands over the request and reads what it answers until it ends or exceeds a limit. Raises OSError when the
    program can't be started at all."""
    user = launch.user
    process = subprocess.Popen[bytes](
        launch.argv, env=dict(launch.environment), cwd="/", start_new_session=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        user=user, group=user, extra_groups=None if user is None else [],
    )  # fmt: skip
    try:
        return _attend(process, request, seconds, most_bytes, _Room(memory_mb, files_mb, launch.work))
    finally:
        _end(process, launch)


def _attend(process: subprocess.Popen[bytes], request: bytes, seconds: float, most_bytes: int, room: _Room) -> Report:
    assert process.stdin and process.stdout and process.stderr
    deadline = time.monotonic() + seconds
    out, complaint, peak = bytearray(), bytearray(), 0.0
    limit: Literal["timeout", "memory", "output"] | None = None
    watch = selectors.DefaultSelector()
    rest = memoryview(len(request).to_bytes(4, "big") + request)
    for pipe in (process.stdin, process.stdout, process.stderr):
        os.set_blocking(pipe.fileno(), False)
    watch.register(process.stdin, selectors.EVENT_WRITE)
    watch.register(process.stdout, selectors.EVENT_READ, (out, most_bytes))
    watch.register(process.stderr, selectors.EVENT_READ, (complaint, 1 << 14))
    next_look = time.monotonic() + _LOOK
    while limit is None and any(key.data for key in watch.get_map().values()):
        now = time.monotonic()
        if now >= deadline:
            limit = "timeout"
        elif now >= next_look:
            next_look = now + _LOOK
            used = private_memory_mb(process.pid)
            peak = max(peak, used)
            if used > room.memory_mb:
                limit = "memory"
            elif room.work and folder_mb(room.work) > room.files_mb:
                limit = "output"
        for key, _ in watch.select(max(0.0, min(next_look, deadline) - time.monotonic())):
            if key.data is None:
                try:
                    rest = rest[os.write(key.fd, rest[: 1 << 16]) :]
                except BrokenPipeError:
                    rest = rest[:0]
                if not rest:
                    watch.unregister(process.stdin)
                    process.stdin.close()
                continue
            kept, most = key.data
            part = os.read(key.fd, 1 << 16)
            if not part:
                watch.unregister(key.fileobj)
            elif len(kept) + len(part) > most:
                limit = "output"
            else:
                kept += part
    watch.close()
    return Report(_frames(out), limit, complaint.decode("utf-8", "replace").strip(), peak)


def _frames(data: bytearray) -> list[dict[str, Any]]:
    frames: list[dict[str, Any]] = []
    position = 0
    while len(data) >= position + 4:
        length = int.from_bytes(data[position : position + 4], "big")
        body = data[position + 4 : position + 4 + length]
        if len(body) < length:
            break
        try:
            value: Any = json.loads(body)
        except (ValueError, RecursionError):
            break  # no frame the supervisor writes: it was taken over, and nothing after this counts
        if isinstance(value, dict):
            frames.append(cast(dict[str, Any], value))
        position += 4 + length
    return frames


def private_memory_mb(pid: int) -> float:
    """MiB of anonymous and shared memory of a process and its descendants. Pages shared after a fork count once per process."""
    total = 0
    waiting = [pid]
    seen: set[int] = set()
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        with contextlib.suppress(OSError):  # it ended while we looked
            for line in Path(f"/proc/{one}/status").read_text().splitlines():
                if line.startswith(("RssAnon:", "RssShmem:")):
                    total += int(line.split()[1])
            for task in Path(f"/proc/{one}/task").iterdir():
                waiting += [int(child) for child in (task / "children").read_text().split()]
    return total / 1024


def folder_mb(folder: Path) -> float:
    """MiB of disk below a folder, links not followed."""
    total = 0
    for place, _, names, descriptor in os.fwalk(folder, onerror=None, follow_symlinks=False):
        del place
        for name in names:
            with contextlib.suppress(OSError):  # it was removed while we looked
                total += os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_blocks * 512
    return total / (1 << 20)


def _end(process: subprocess.Popen[bytes], launch: Launch) -> None:
    """Kills the jail. In tier A the process namespace dies with it; in tier B nobody can have left the session."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    if launch.tier == "B":
        while groups := session_groups(process.pid):
            for group in groups:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(group, signal.SIGKILL)
            time.sleep(0.001)
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def session_groups(session: int) -> set[int]:
    """Process groups of the living processes in a session (proc_pid_stat(5): state is field 3, group 5, session 6)."""
    groups: set[int] = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == session and fields[0] not in "ZX":
                    groups.add(int(fields[2]))
    return groups
