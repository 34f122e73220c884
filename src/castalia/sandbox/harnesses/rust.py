# pyright: basic
"""Runner `rust`: the candidate is a Rust program as it was built, an input names the function to call.

Input: `{"call": "NAME", "args": [...]}`; `args` may be missing. Value: what the call returns; tuples are arrays, maps are objects.
The program is started anew for each input. Runs in the jail.
"""

import contextlib
import json
import os
import select
from typing import Any


class Panic(Exception):
    """The program panicked, or could not make the call."""


class Ended(Exception):
    """The program ended without a value."""


def run(candidate: bytes, value: Any) -> Any:
    """Starts the program and gives it one call. Raises MemoryError where an allocation failed."""
    from inside import plain  # type: ignore[import-not-found] - as the jail sees it

    call = {"call": value["call"], "args": [plain.encode(item) for item in value.get("args", [])], "kwargs": {}}
    body = json.dumps(call).encode()
    given, to_program = os.pipe()
    said, to_here = os.pipe()
    complaint, to_complain = os.pipe()
    actions = [
        (os.POSIX_SPAWN_DUP2, given, 0), (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_DUP2, to_complain, 2), (os.POSIX_SPAWN_DUP2, to_here, 3),
    ]  # fmt: skip
    pid = os.posix_spawn(_placed(candidate), ["program"], dict(os.environ), file_actions=actions)
    for descriptor in (given, to_here, to_complain):
        os.close(descriptor)
    with contextlib.suppress(BrokenPipeError), os.fdopen(to_program, "wb") as pipe:  # it reads a call before it says more than a word
        pipe.write(len(body).to_bytes(4, "big") + body)
    frames, errors = _read(said, complaint)
    if len(frames) < 2:
        _, status = os.waitpid(pid, 0)
        if b"memory allocation of" in errors:
            raise MemoryError
        raise Ended(f"it ended with status {os.waitstatus_to_exitcode(status)} before it gave a value")
    answer = json.loads(frames[1])
    if "value" not in answer:
        raise Panic(answer.get("text", answer.get("unplain", "")))
    return json.loads(json.dumps(plain.decode(answer["value"]), allow_nan=False))


def _placed(program: bytes) -> str:
    """The program as a file, the same for all inputs."""
    place = os.path.join(os.getcwd(), "program")  # noqa: PTH109, PTH118
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o700)
        with os.fdopen(descriptor, "wb") as file:
            file.write(program)
    return place


def _read(said: int, complaint: int) -> tuple[list[bytes], bytes]:
    """The program's first two frames, fewer where it ended before, and the last it wrote on stderr."""
    got, errors = bytearray(), bytearray()
    watch = select.poll()
    for descriptor in (said, complaint):
        watch.register(descriptor, select.POLLIN)
    while len(frames := _frames(got)) < 2:
        ready = {descriptor for descriptor, _ in watch.poll()}
        if complaint in ready:
            part = os.read(complaint, 1 << 16)
            errors = (errors + part)[-4096:]
            if not part:
                watch.unregister(complaint)
        if said in ready and complaint not in ready:
            part = os.read(said, 1 << 16)
            if not part:
                break
            got += part
    return frames, bytes(errors)


def _frames(got: bytearray) -> list[bytes]:
    found: list[bytes] = []
    place = 0
    while len(got) >= place + 4 and len(found) < 2:
        length = int.from_bytes(got[place : place + 4], "big")
        if len(got) < place + 4 + length:
            break
        found.append(bytes(got[place + 4 : place + 4 + length]))
        place += 4 + length
    return found
