"""One machine's way to build jails: which tier works here, and the command that starts a jail of it."""

import os
import random
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from castalia.sandbox import bubblewrap
from castalia.sandbox.interpreter import HOME, Interpreter, make_farm, reachable_by_others, system_libraries, this_interpreter
from castalia.sandbox.supervise import Launch
from castalia.sandbox.values import Limits, Tier

_BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from inside.start import main; main()"
_UIDS = (1_879_048_192, 1_879_113_727)  # ids no one has: each jail gets its own, so per-user limits count it alone
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


@dataclass(frozen=True)
class Builder:
    """What all jails of a sandbox share. `farm` is None where the interpreter is bound from its own place."""

    tier: Tier
    stage: Path
    python: Interpreter
    farm: Path | None
    binary: Path | None


@dataclass(frozen=True)
class Plan:
    """A jail ready to start: the launch, what the supervisor is told about it, and the host's working folder in tier B."""

    launch: Launch
    jail: Mapping[str, Any]
    executable: str
    work: Path | None


def make_builder(tier: Tier, stage: Path) -> Builder:
    """Prepares the staging folder for a tier. Raises FileNotFoundError when tier A has no bubblewrap."""
    python = this_interpreter()
    is_root = os.geteuid() == 0
    binary = bubblewrap.find_bubblewrap() if tier == "A" else None
    if tier == "A":
        if binary is None:
            raise FileNotFoundError("no bubblewrap binary")
        if is_root and not reachable_by_others(binary):
            binary = bubblewrap.copy_bubblewrap(binary, stage / "bwrap")
    parts = (python.executable, python.standard_library, *python.shared)
    farm = None
    if tier == "B" or (is_root and not all(map(reachable_by_others, parts))):
        farm = stage / "python"
        if not farm.exists():
            make_farm(python, farm)
    return Builder(tier, stage, python, farm, binary)


def plan_jail(builder: Builder, limits: Limits, packages: Path | None) -> Plan:
    """One jail. In tier B this makes its working folder, which the caller removes."""
    user = random.randint(*_free_ids()) if os.geteuid() == 0 else None
    return _plan_namespaces(builder, limits, packages, user) if builder.tier == "A" else _plan_plain(builder, limits, packages, user)


def _free_ids() -> tuple[int, int]:
    """A range of user and group ids for jails; in a container that maps few ids, the highest of those."""
    first, last = _UIDS
    for name in ("uid_map", "gid_map"):
        spans = [tuple(map(int, line.split())) for line in Path("/proc/self", name).read_text().splitlines()]
        if not any(start <= _UIDS[0] and _UIDS[1] < start + count for start, _, count in spans):
            top = max(start + count for start, _, count in spans) - 1
            first, last = max(1, min(first, top - 10_000)), min(last, top)
    return first, max(first, last)


def _environment(home: str, packages: str | None, folder: str) -> dict[str, str]:
    environment = {
        "HOME": folder, "TMPDIR": folder, "LANG": "C.UTF-8", "TZ": "UTC", "PATH": f"{home}/bin",
        "PYTHONHOME": home, "LD_LIBRARY_PATH": f"{home}/lib", "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    return environment | ({"PYTHONPATH": packages} if packages else {})


def _boot(executable: str, staged: str) -> list[str]:
    return [executable, "-S", "-s", "-P", "-B", "-c", _BOOT, staged]


def _told(tier: Tier, limits: Limits, work: str, read: Sequence[str], write: Sequence[str], process_limit: int) -> dict[str, Any]:
    return {
        "tier": tier,
        "read": list(read),
        "write": list(write),
        "work": work,
        "limits": limits.model_dump(),
        "process_limit": process_limit,
    }


def _plan_namespaces(builder: Builder, limits: Limits, packages: Path | None, user: int | None) -> Plan:
    assert builder.binary is not None
    executable = f"{HOME}/bin/python"
    argv = bubblewrap.command(
        builder.binary,
        python=builder.python,
        farm=builder.farm,
        libraries=system_libraries(),
        staged=builder.stage / "inside",
        packages=packages,
        files_mb=limits.files_mb,
        environment=_environment(HOME, bubblewrap.PACKAGES if packages else None, "/tmp"),
    )
    write = [bubblewrap.WORK, "/tmp", "/dev/shm", *_DEVICES]
    # bubblewrap's init and the supervisor count too
    told = _told("A", limits, bubblewrap.WORK, ["/"], write, limits.processes + 3)
    return Plan(Launch("A", [*argv, *_boot(executable, bubblewrap.STAGED)], {}, user), told, executable, None)


def _plan_plain(builder: Builder, limits: Limits, packages: Path | None, user: int | None) -> Plan:
    assert builder.farm is not None
    work = Path(tempfile.mkdtemp(prefix="work-", dir=builder.stage))
    if user is not None:
        os.chown(work, user, user)
    staged = builder.stage / "inside"
    executable = str(builder.farm / "bin/python")
    read = [str(path) for path in (builder.farm, staged, *system_libraries(), *([packages] if packages else []))]
    running = 0 if user is not None else _tasks_of(os.geteuid())
    told = _told("B", limits, str(work), read + list(_DEVICES), [str(work), *_DEVICES], running + limits.processes + 2)
    environment = _environment(str(builder.farm), str(packages) if packages else None, str(work))
    return Plan(Launch("B", _boot(executable, str(staged)), environment, user, work), told, executable, work)


def _tasks_of(user: int) -> int:
    """Processes and threads a user has now: RLIMIT_NPROC counts them all."""
    count = 0
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if folder.stat().st_uid == user:
                    count += sum(1 for _ in (folder / "task").iterdir())
            except OSError:
                continue  # it ended while we looked
    return count
