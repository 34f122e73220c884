"""Landlock: a process gives up its own access to files, TCP ports and other processes (Linux 5.13, landlock(7)).

Domains nest. A process in an inner domain can't trace, and from version 6 on can't signal, a process outside it.
"""

from __future__ import annotations

import ctypes
import os
import stat

from .syscalls import libc

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_READ = 0b1101  # EXECUTE, READ_FILE, READ_DIR
_FILE_RIGHTS = 0b1100000000000111  # EXECUTE, WRITE_FILE, READ_FILE, TRUNCATE, IOCTL_DEV: what a rule on a file may grant
_REFER, _IOCTL_DEV = 1 << 13, 1 << 15


class _Ruleset(ctypes.Structure):
    _fields_ = (("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


def version() -> int:
    """The version of the kernel's Landlock interface, 0 when there is none."""
    return max(0, int(libc.syscall(_CREATE, None, 0, 1)))


def _rights(abi: int) -> int:
    count = 13 + (abi >= 2) + (abi >= 3) + (abi >= 5)
    return (1 << count) - 1


def restrict(read: Iterable[str], write: Iterable[str]) -> None:
    """Enters a domain that may read and execute below `read`, do all but device control below `write`, and use no TCP
    port when this kernel can forbid it. Paths that don't exist are left out. Raises OSError."""
    abi = version()
    handled = _rights(abi)
    ruleset = _create(_Ruleset(handled, 0, 0))
    try:
        for paths, granted in ((read, _READ), (write, handled & ~_IOCTL_DEV)):
            for path in paths:
                _allow(ruleset, path, granted & handled)
        _enter(ruleset)
    finally:
        os.close(ruleset)


def separate(write: Iterable[str], *, tcp: bool) -> None:
    """Enters a domain within the present one: no signals and no abstract sockets to the outside (version 6), and no TCP
    unless `tcp` (version 4). Files may move from folder to folder below `write`: a domain that doesn't say so forbids it
    (LANDLOCK_ACCESS_FS_REFER). Raises OSError."""
    abi = version()
    scoped = 0b11 if abi >= 6 else 0
    net = 0b11 if abi >= 4 and not tcp else 0
    # without a scope something must still be handled, or no domain is made and tracing is not cut off
    ruleset = _create(_Ruleset(_REFER if abi >= 2 else 1 << 6, net, scoped))
    try:
        if abi >= 2:
            for path in write:
                _allow(ruleset, path, _REFER)
        _enter(ruleset)
    finally:
        os.close(ruleset)


def _create(attribute: _Ruleset) -> int:
    size = ctypes.sizeof(_Ruleset) if version() >= 6 else 16 if version() >= 4 else 8
    return _checked(libc.syscall(_CREATE, ctypes.byref(attribute), size, 0), "create a ruleset")


def _allow(ruleset: int, path: str, granted: int) -> None:
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(parent).st_mode):
            granted &= _FILE_RIGHTS
        rule = _PathBeneath(granted, parent)
        if not granted:
            return
        _checked(libc.syscall(_ADD, ruleset, 1, ctypes.byref(rule), 0), f"allow {path!r}")
    finally:
        os.close(parent)


def _enter(ruleset: int) -> None:
    _checked(libc.syscall(_RESTRICT, ruleset, 0), "enter a domain")


def _checked(result: int, action: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"Landlock could not {action}: {os.strerror(code)}")
    return result
