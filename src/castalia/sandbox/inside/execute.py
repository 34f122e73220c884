# ruff: noqa: PTH208, PTH103, PTH118, PTH120, PTH123
# (importing pathlib would be a fifth of a jail's start)
"""One program with files and stdin, in the working folder; its output and the files it leaves come back."""

from __future__ import annotations

import os
import stat

from .capture import capture
from .evaluate import resources
from .family import start
from .syscalls import libc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .confine import Confinement

MOST_FILES, DEEPEST = 1000, 40
_DEFAULT = 0  # SIG_DFL
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def execute(jail: Confinement, argv: list[str], files: dict[str, bytes], stdin: bytes) -> dict[str, Any]:
    """Runs `argv`. Raises OSError when a file can't be written."""
    for name, content in files.items():
        place = os.path.join(jail.work, name)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "wb") as file:
            file.write(content)
    in_reader, in_writer = os.pipe()
    out_reader, out_writer = os.pipe()
    err_reader, err_writer = os.pipe()

    def body() -> None:
        for number in (13, 25):  # SIGPIPE, SIGXFSZ: Python ignores them, and what it starts would, too
            libc.signal(number, _DEFAULT)
        try:
            os.execvpe(argv[0], argv, dict(os.environ))
        except OSError as error:
            os.write(2, f"{argv[0]!r} can't be started: {error.strerror}\n".encode())
            os._exit(127)

    leader = start(jail, {0: in_reader, 1: out_writer, 2: err_writer}, body)
    for descriptor in (in_reader, out_writer, err_writer):
        os.close(descriptor)
    captured = capture(jail, leader, [out_reader, err_reader], (in_writer, stdin))
    left, omitted = _files_left(jail)
    return {
        "limit": captured.limit,
        "status": captured.ended.status if captured.ended else None,
        "stdout": _text(captured.outputs[0]),
        "stderr": _text(captured.outputs[1]),
        "files": left,
        "omitted": omitted,
        "seconds": captured.seconds,
        **resources(captured.ended),
    }


def _text(data: bytes) -> str:
    import binascii

    return binascii.b2a_base64(data, newline=False).decode()


def _files_left(jail: Confinement) -> tuple[dict[str, str], list[str]]:
    """The regular files below the working folder, opened without following links, and the names left out."""
    left: dict[str, str] = {}
    omitted: list[str] = []
    room = int(jail.limits["files_mb"]) << 20
    descriptors = [(os.open(jail.work, _FOLDER), "")]
    while descriptors:
        folder, above = descriptors.pop()
        try:
            names = sorted(os.listdir(folder))
            if above and not names:
                omitted.append(ascii(above))  # a folder is given back by its files alone
            for name in names[:MOST_FILES]:
                shown = f"{above}{name}"
                if _is_folder(name, folder):
                    inner = _opened(name, folder) if shown.count("/") < DEEPEST and len(descriptors) < 100 else None
                    if inner is None:
                        omitted.append(ascii(shown))
                    else:
                        descriptors.append((inner, f"{shown}/"))
                    continue
                content = _content(name, folder, room) if len(left) < MOST_FILES and shown.isprintable() else None
                if content is None:
                    omitted.append(ascii(shown))
                else:
                    room -= len(content)
                    left[shown] = _text(content)
            omitted += [ascii(f"{above}{name}") for name in names[MOST_FILES : MOST_FILES + 1]]
        except OSError:
            omitted.append(ascii(above))
        finally:
            os.close(folder)
    return dict(sorted(left.items())), omitted[:100]


def _is_folder(name: str, above: int) -> bool:
    try:
        return stat.S_ISDIR(os.stat(name, dir_fd=above, follow_symlinks=False).st_mode)
    except OSError:
        return False


def _opened(name: str, above: int) -> int | None:
    try:
        return os.open(name, _FOLDER, dir_fd=above)
    except OSError:  # one that can't be read hides what is in it, and nothing else
        return None


def _content(name: str, folder: int, room: int) -> bytes | None:
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        content = file.read(room + 1)
    return content if len(content) <= room else None
