# pyright: basic
"""In a jail with the Rust toolchain: builds what the host gave, then either becomes the program or runs its tests.

The candidate is a library file; the program around it is the host's. The compiler runs directly, so there is no build script, no
dependency and no network; procedural macros would need a crate of their own, and there is none.
"""

from __future__ import annotations

import os
import resource

from inside import talk  # type: ignore[import-not-found] - as the jail sees it

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def serve(task: dict[str, Any]) -> None:
    """Sends `loaded` false with the compiler's words, or becomes the program, which says so itself; or sends a `verdict`."""
    for name, text in task["files"].items():
        with open(name, "w", encoding="utf-8") as file:  # noqa: PTH123 - pathlib is a fifth of a jail's start
            file.write(text)
    for step in task["steps"]:
        status, said = _run(step, "build.log")
        if status != 0:
            first = said.find("error")
            said = said[max(0, first) :][:1500]
            problem = f"it does not compile: {said}" if status > 0 else f"the compiler was ended by signal {-status}"
            talk.send({"verdict": {"broken": problem}} if task["tests"] else {"loaded": False, "problem": problem})
            return
    _make_runnable(task["program"][0])
    memory = int(task["memory_mb"]) << 20
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    if task["tests"]:
        status, said = _run(task["program"], "tests.log")
        talk.send({"verdict": _verdict(said, status)})
    else:
        os.execv(task["program"][0], task["program"])


def _make_runnable(program: str) -> None:
    """GNU ld makes its output executable with chmod(2), which tier B denies; a copy can be made so from the beginning."""
    if os.access(program, os.X_OK):
        return
    os.rename(program, f"{program}.built")  # noqa: PTH104
    source, target = os.open(f"{program}.built", os.O_RDONLY), os.open(program, os.O_WRONLY | os.O_CREAT, 0o700)
    while os.sendfile(target, source, None, 1 << 24):
        pass
    os.close(source)
    os.close(target)


def _run(argv: list[str], log: str) -> tuple[int, str]:
    """Exit status (negative: a signal) and what was said. The channels to the host stay open in the child."""
    actions = [(os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), (os.POSIX_SPAWN_DUP2, 1, 2)]
    pid = os.posix_spawn(argv[0], argv, dict(os.environ), file_actions=actions)
    _, status = os.waitpid(pid, 0)
    with open(log, "rb") as file:  # noqa: PTH123
        said = file.read(1 << 20).decode("utf-8", "replace")
    return os.waitstatus_to_exitcode(status), said


def _verdict(said: str, status: int) -> dict[str, Any]:
    """From the words of Rust's own test program, which holds no candidate."""
    verdict: dict[str, Any] = {"ran": 0, "passed": 0, "skipped": 0, "failures": [], "broken": ""}
    for line in said.splitlines():
        words = line.split()
        if line.startswith("running ") and len(words) >= 3:
            verdict["ran"] = int(words[1])
        elif line.startswith("test result:"):
            counts = dict(zip(words[4::2], words[3::2]))  # noqa: B905
            verdict["passed"] = int(counts.get("passed;", 0))
            verdict["skipped"] = int(counts.get("ignored;", 0)) + int(counts.get("filtered", 0))
        elif line.startswith("test ") and line.endswith("FAILED"):
            verdict["failures"].append(words[1])
    if said.find("panicked at") >= 0:
        verdict["failures"].append(said[said.find("panicked at") :].split("note:")[0].strip()[:500])
    if (status == 0) != (verdict["passed"] == verdict["ran"]):
        verdict["broken"] = f"the test program ended with status {status}"
    return verdict
