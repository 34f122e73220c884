# pyright: basic
"""Frames between host and jail: four bytes of length, big-endian, then a body.

The host's first frame, the request, is marshalled: the host is trusted and runs the same Python. Every other frame, in both
directions, is JSON: the host never unmarshals what a jail says.
"""

from __future__ import annotations

import marshal
import os

TYPE_CHECKING = False
if TYPE_CHECKING:  # `typing` would be a third of a jail's start
    from collections.abc import Callable
    from typing import Any

MOST = 1 << 28  # bytes of one frame a jail accepts


def _codec() -> tuple[Callable[[Any], str], Callable[[str], Any]]:
    """`dumps` and `loads` of strict JSON. The module `json` imports `re`; its compiled core alone starts in no time."""
    try:
        import _json

        class Settings:
            strict, object_hook, object_pairs_hook = True, None, None
            parse_float, parse_int = float, int
            memo: dict[str, str] = {}  # noqa: RUF012 - what the scanner looks for

            @staticmethod
            def parse_constant(name: str) -> Any:
                raise ValueError(f"{name} is no JSON number")

        def refuse(value: Any) -> Any:
            raise TypeError(f"a {type(value).__name__} has no JSON type")  # noqa: TRY301

        # (markers, default, encoder, indent, key separator, item separator, sort keys, skip keys, allow NaN)
        encode: Any = _json.make_encoder({}, refuse, _json.encode_basestring_ascii, None, ":", ",", False, False, False)  # type: ignore[attr-defined]
        scan: Any = _json.make_scanner(Settings)  # type: ignore[attr-defined]
        assert "".join(encode([1, "a", None], 0)) == '[1,"a",null]'
        assert scan('{"a":[1.5,true]}', 0)[0] == {"a": [1.5, True]}

        def loads(text: str) -> Any:
            try:
                return scan(text, 0)[0]
            except StopIteration as error:
                raise ValueError("no JSON value") from error

        return lambda value: "".join(encode(value, 0)), loads
    except (ImportError, AttributeError, TypeError, AssertionError):  # it works otherwise in this Python
        import json

        return lambda value: json.dumps(value, allow_nan=False), json.loads


dumps, loads = _codec()


def read_request(descriptor: int) -> Any:
    """The host's request. Raises EOFError when the host went away before it sent one."""
    return marshal.loads(_frame(descriptor))


def read_frame(descriptor: int) -> Any:
    """The next frame. Raises EOFError when the host went away."""
    return loads(_frame(descriptor).decode())


def write_frame(descriptor: int, value: Any) -> None:
    """Sends one frame."""
    body = dumps(value).encode()
    rest = memoryview(len(body).to_bytes(4, "big") + body)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _frame(descriptor: int) -> bytes:
    length = int.from_bytes(_exactly(descriptor, 4), "big")
    if length > MOST:
        raise EOFError(f"a frame of {length} bytes")
    return _exactly(descriptor, length)


def _exactly(descriptor: int, length: int) -> bytes:
    parts: list[bytes] = []
    while length:
        part = os.read(descriptor, min(length, 1 << 20))
        if not part:
            raise EOFError("the channel ended within a frame")
        parts.append(part)
        length -= len(part)
    return b"".join(parts)
