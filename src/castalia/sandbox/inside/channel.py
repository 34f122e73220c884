"""Frames between host and jail: four bytes of length, big-endian, then JSON in UTF-8."""

import json
import os
from typing import Any


def read_frame(descriptor: int) -> Any:
    """The next frame. Raises EOFError when the host went away."""
    length = int.from_bytes(_exactly(descriptor, 4), "big")
    return json.loads(_exactly(descriptor, length))


def write_frame(descriptor: int, value: Any) -> None:
    """Sends one frame."""
    body = json.dumps(value).encode()
    rest = memoryview(len(body).to_bytes(4, "big") + body)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _exactly(descriptor: int, length: int) -> bytes:
    parts: list[bytes] = []
    while length:
        part = os.read(descriptor, min(length, 1 << 20))
        if not part:
            raise EOFError("the channel ended within a frame")
        parts.append(part)
        length -= len(part)
    return b"".join(parts)
