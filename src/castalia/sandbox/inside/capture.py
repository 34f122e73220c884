"""Waiting for a foreign process: its output read up to a cap, its input fed, its deadline kept."""

import os
import selectors
import time
from collections.abc import Sequence
from typing import NamedTuple

from .confine import Confinement
from .family import End, end


class Captured(NamedTuple):
    """What came out. `ended` is None while a limit (`timeout`, `output`) is the reason of the end."""

    outputs: list[bytes]
    limit: str | None
    ended: End | None
    seconds: float


def capture(jail: Confinement, leader: int, readers: Sequence[int], feed: tuple[int, bytes] | None = None) -> Captured:
    """Reads `readers` until the leader ends or a limit is reached, then ends the whole family and reads what is left.

    `feed` is a descriptor and the bytes to write into it. All descriptors are closed.
    """
    began = time.monotonic()
    deadline = began + jail.limits["seconds"]
    room = int(jail.limits["output_bytes"])
    outputs: list[bytearray] = [bytearray() for _ in readers]
    limit: str | None = None
    watch = selectors.DefaultSelector()
    death = os.pidfd_open(leader)
    watch.register(death, selectors.EVENT_READ, None)
    for number, reader in enumerate(readers):
        os.set_blocking(reader, False)
        watch.register(reader, selectors.EVENT_READ, number)
    if feed:
        os.set_blocking(feed[0], False)
        watch.register(feed[0], selectors.EVENT_WRITE, memoryview(feed[1]))
    alive = True
    while alive and limit is None:
        left = deadline - time.monotonic()
        if left <= 0:
            limit = "timeout"
            break
        for key, _ in watch.select(left):
            if key.fd == death:
                alive = False
            elif feed and key.fd == feed[0]:
                _feed(watch, key)
            else:
                number: int = key.data
                room -= _read_some(watch, key.fd, outputs[number], room + 1)
                if room < 0:
                    limit = "output"
    ended = end(jail, leader)
    seconds = time.monotonic() - began
    for number, reader in enumerate(readers):
        # everyone who could write is dead: what is in the pipe is all there is
        while limit is None and (got := _read_some(watch, reader, outputs[number], room + 1)):
            room -= got
            if room < 0:
                limit = "output"
    unfinished = [feed[0]] if feed and feed[0] in watch.get_map() else []
    watch.close()
    for descriptor in (death, *readers, *unfinished):
        os.close(descriptor)
    return Captured([bytes(output) for output in outputs], limit, ended, seconds)


def _read_some(watch: selectors.BaseSelector, reader: int, output: bytearray, most: int) -> int:
    try:
        part = os.read(reader, min(most, 1 << 16))
    except BlockingIOError:
        return 0
    if not part:
        if reader in watch.get_map():
            watch.unregister(reader)
        return 0
    output += part
    return len(part)


def _feed(watch: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
    rest: memoryview = key.data
    try:
        rest = rest[os.write(key.fd, rest[:65536]) :]
    except BrokenPipeError:
        rest = rest[:0]
    if rest:
        watch.modify(key.fd, selectors.EVENT_WRITE, rest)
    else:
        watch.unregister(key.fd)
        os.close(key.fd)
