# pyright: basic
"""In a jail of its own: a Rust program as it was built, which talks with the host itself; or tests, whose report becomes a verdict."""

from __future__ import annotations

import os

from inside import talk  # type: ignore[import-not-found] - as the jail sees it

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_KEPT = 1 << 20  # bytes of what a program says: its last ones


def serve(task: dict[str, Any]) -> None:
    """Runs the program to its end. Sends a `verdict` of tests; of a candidate, that memory ran out, which it can't say itself."""
    with open(os.open("program", os.O_WRONLY | os.O_CREAT, 0o700), "wb") as file:  # noqa: PTH123
        file.write(task["program"])
    arguments = ["--test-threads=1"] if task["tests"] else []
    status, said = _run(["./program", *arguments], stdout=task["tests"])
    if task["tests"]:
        talk.send({"verdict": _verdict(said, status)})
    elif status == -6 and "memory allocation of" in said:
        talk.send({"raised": "out of memory", "text": said[said.rfind("memory allocation of") :].strip(), "memory": True})
    os._exit(status if status >= 0 else 128 - status)


def _run(argv: list[str], *, stdout: bool) -> tuple[int, str]:
    """Exit status (negative: a signal) and what was said. The channels to the host stay open in the child."""
    reader, writer = os.pipe()
    nowhere = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)
    first = (os.POSIX_SPAWN_DUP2, writer, 1) if stdout else nowhere
    pid = os.posix_spawn(argv[0], argv, dict(os.environ), file_actions=[first, (os.POSIX_SPAWN_DUP2, writer, 2)])
    os.close(writer)
    said = bytearray()
    while part := os.read(reader, 1 << 16):
        said += part
        del said[:-_KEPT]
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), said.decode("utf-8", "replace")


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
