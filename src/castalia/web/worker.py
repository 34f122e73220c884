"""Runs a parsing function in a child process that can be killed: limits on memory and time hold for C code too.

One child per thread is kept and reused, because starting Python costs more than parsing a page; an idle one ends by itself. The child
gets the name of a function and JSON-able arguments, and answers with JSON; whatever goes wrong inside it is data here.
"""

import importlib
import json
import os
import select
import struct
import subprocess
import sys
import threading
import time
import weakref
from typing import Any, NamedTuple

MEMORY_BYTES = 1 << 30
IDLE_SECONDS = 10.0
RECURSION = 20_000  # frames of Python code; they live on the heap
_LENGTH = struct.Struct(">I")


class Outcome(NamedTuple):
    """`value` when it went well; otherwise `problem` is a reason code and `detail` says more."""

    value: Any
    problem: str = ""
    detail: str = ""


class _Child:
    """A worker process and its two pipes."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from castalia.web.worker import serve; serve()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={
                "PATH": os.environ.get("PATH", ""),
                "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
                "OPENBLAS_NUM_THREADS": "1",  # every further one takes memory from the limit
            },
        )
        self._closing = weakref.finalize(self, _end, self.process)

    def end(self) -> None:
        self._closing()


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


_local = threading.local()


def call_limited(function: str, *arguments: object, seconds: float = 4.0) -> Outcome:
    """Calls `module:name` with `arguments` in the worker of this thread.

    Problems: `parse-timeout` after `seconds`, `parser-died` when memory ran out or the parser crashed, `parse-failed`
    when the function raised.
    """
    request = json.dumps([function, *arguments]).encode("utf-8", "surrogatepass")
    child = _kept_child()
    # The first call of a child pays for the imports, so the clock starts when the child says it is ready to work.
    try:
        try:
            ready = _begin(child, request)
        except (EOFError, BrokenPipeError):
            child.end()  # it was idle too long and ended just now, before it began with this
            child = _local.child = _Child()
            ready = _begin(child, request)
        answer = _read(child, time.monotonic() + seconds)
    except TimeoutError:
        child.end()
        _local.child = None
        return Outcome(None, "parse-timeout", f"{function} took longer than {seconds:g} s")
    except (EOFError, BrokenPipeError):
        child.end()
        _local.child = None
        return Outcome(None, "parser-died", f"{function} ended its process: memory limit or a crash of the parser")
    if ready != b"ready":
        return Outcome(None, "parse-failed", ready.decode("utf-8", "replace")[:300])
    reply = json.loads(answer)
    return Outcome(reply.get("value"), reply.get("problem", ""), reply.get("detail", ""))


def _kept_child() -> _Child:
    child: _Child | None = getattr(_local, "child", None)
    if child is None or child.process.poll() is not None:
        child = _local.child = _Child()
    return child


def _begin(child: _Child, request: bytes) -> bytes:
    """Gives the child its work; returns what it says when it has everything that it needs for it."""
    _write(child, request, time.monotonic() + 30)
    return _read(child, time.monotonic() + 30)


def _write(child: _Child, data: bytes, deadline: float) -> None:
    assert child.process.stdin is not None
    descriptor = child.process.stdin.fileno()
    os.set_blocking(descriptor, False)
    view = memoryview(_LENGTH.pack(len(data)) + data)
    while view:
        _, writable, _ = select.select([], [descriptor], [], max(0.0, deadline - time.monotonic()))
        if not writable:
            raise TimeoutError
        view = view[os.write(descriptor, view) :]


def _read(child: _Child, deadline: float) -> bytes:
    assert child.process.stdout is not None
    descriptor = child.process.stdout.fileno()
    (length,) = _LENGTH.unpack(_exactly(descriptor, _LENGTH.size, deadline))
    return _exactly(descriptor, length, deadline)


def _exactly(descriptor: int, count: int, deadline: float) -> bytes:
    parts: list[bytes] = []
    while count:
        readable, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        if not readable:
            raise TimeoutError
        part = os.read(descriptor, min(count, 1 << 16))
        if not part:
            raise EOFError
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def serve() -> None:
    """The child's side: one request after the other until its input closes."""
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.setrecursionlimit(RECURSION)
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    while select.select([source], [], [], IDLE_SECONDS)[0] and len(head := source.read(_LENGTH.size)) == _LENGTH.size:
        name, *arguments = json.loads(source.read(_LENGTH.unpack(head)[0]))
        module, _, attribute = name.partition(":")
        function = getattr(importlib.import_module(module), attribute)
        _reply(sink, b"ready")
        try:
            reply: dict[str, Any] = {"value": function(*arguments)}
        except MemoryError:
            os._exit(3)
        except Exception as error:  # noqa: BLE001 - a page may break a parser in any way, and the caller gets the words
            reply = {"problem": "parse-failed", "detail": f"{type(error).__name__}: {error}"[:300]}
        _reply(sink, json.dumps(reply).encode())


def _reply(sink: Any, data: bytes) -> None:
    sink.write(_LENGTH.pack(len(data)) + data)
    sink.flush()
