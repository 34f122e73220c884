"""A system call filter, assembled here as a classic BPF program (seccomp(2), Linux 3.17).

A filter is a deny-list: it answers EPERM, ENOSYS or ends the process when the call comes from another architecture.
Filters add up: the strictest answer of all installed ones counts.
"""

import ctypes
import errno
import os
import struct

from .syscalls import ARCHITECTURES, PR_SET_DUMPABLE, Architecture, libc

_LOAD, _AND, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16
_NEW_NAMESPACES = 0x7E020080  # CLONE_NEWTIME, NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
_X32 = 0x40000000
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_F_SETOWN, _F_SETSIG, _F_SETOWN_EX, _F_SETLEASE, _F_NOTIFY = 8, 10, 15, 1024, 1026
_FIOSETOWN, _SIOCSPGRP = 0x8901, 0x8902
_AF_UNIX, _AF_INET, _AF_INET6 = 1, 2, 10
_SOCK_STREAM, _SOCK_DGRAM, _SOCK_SEQPACKET, _TYPE = 1, 2, 5, 0xF
_TCP, _UDP = 6, 17

Instruction = tuple[int, int, int, int]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def _fail(code: int) -> Instruction:
    return (_RETURN, 0, 0, _ERRNO | code)


def _load(offset: int) -> Instruction:
    return (_LOAD, 0, 0, offset)


def _when(number: int, body: list[Instruction]) -> list[Instruction]:
    """`body` for one system call; it must leave the number loaded when it lets the call go on."""
    return [(_EQUAL, 0, len(body), number), *body]


def _deny(number: int, code: int = errno.EPERM) -> list[Instruction]:
    return _when(number, [_fail(code)])


def _argument(index: int) -> int:
    return _ARGUMENTS + 8 * index


def _head(arch: Architecture) -> list[Instruction]:
    return [_load(_ARCH), (_EQUAL, 1, 0, arch.audit), (_RETURN, 0, 0, _KILL), _load(_NUMBER), (_AT_LEAST, 0, 1, _X32), _fail(errno.ENOSYS)]


def everywhere(arch: Architecture) -> list[Instruction]:
    """The filter for every jailed process."""
    program = _head(arch)
    for number in arch.denied:
        program += _deny(number)
    program += _deny(arch.clone3, errno.ENOSYS)  # its flags lie in memory that a filter can't read; libc falls back to clone
    program += _when(arch.clone, [_load(_argument(0)), (_ANY_BIT, 0, 1, _NEW_NAMESPACES), _fail(errno.EPERM), _load(_NUMBER)])
    program += _when(
        arch.ioctl,
        [_load(_argument(1)), *_any_of(_TIOCSTI, _TIOCLINUX, _FIOSETOWN, _SIOCSPGRP), _fail(errno.EPERM), _load(_NUMBER)],
    )
    # an owner of a descriptor, whom the kernel signals in one's name, may be any process
    denied = _any_of(_F_SETOWN, _F_SETSIG, _F_SETOWN_EX, _F_SETLEASE, _F_NOTIFY)
    program += _when(arch.fcntl, [_load(_argument(1)), *denied, _fail(errno.EPERM), _load(_NUMBER)])
    program += _when(arch.socket, _sockets())
    program += _when(arch.socketpair, [_load(_argument(0)), (_EQUAL, 1, 0, _AF_UNIX), _fail(errno.EAFNOSUPPORT), _load(_NUMBER)])
    program += _when(arch.prlimit, [_load(_argument(0)), (_EQUAL, 1, 0, 0), _fail(errno.EPERM), _load(_NUMBER)])
    return [*program, (_RETURN, 0, 0, _ALLOW)]


def _any_of(*values: int) -> list[Instruction]:
    """Goes on with the next instruction where one of the values is loaded, and skips it otherwise."""
    last = len(values) - 1
    return [(_EQUAL, last - place, 0 if place < last else 1, value) for place, value in enumerate(values)]


def _sockets() -> list[Instruction]:
    """UNIX sockets, TCP and UDP. Asking for any other family, type or protocol would make the host's kernel load its module."""
    return [
        _load(_argument(0)), (_EQUAL, 11, 0, _AF_UNIX), (_EQUAL, 1, 0, _AF_INET), (_EQUAL, 0, 8, _AF_INET6),
        _load(_argument(1)), (_AND, 0, 0, _TYPE), (_EQUAL, 1, 0, _SOCK_STREAM), (_EQUAL, 0, 4, _SOCK_DGRAM),
        _load(_argument(2)), (_EQUAL, 3, 0, 0), (_EQUAL, 2, 0, _TCP), (_EQUAL, 1, 0, _UDP),
        _fail(errno.EAFNOSUPPORT),
        _load(_NUMBER),
    ]  # fmt: skip


def without_namespaces(arch: Architecture, *, signals: bool) -> list[Instruction]:
    """What tier B adds: no sockets but pairs that stay pairs, no change of other people's files, no leaving the process group, and,
    where Landlock can't scope them (`signals` False), no signals."""
    program = _head(arch)
    for number in (*arch.denied_without_namespaces, *(() if signals else arch.signals)):
        program += _deny(number)
    # one end of a pair of datagrams may send to any socket of the host that has a path
    kept = [_load(_argument(1)), (_AND, 0, 0, _TYPE), (_EQUAL, 2, 0, _SOCK_STREAM), (_EQUAL, 1, 0, _SOCK_SEQPACKET)]
    program += _when(arch.socketpair, [*kept, _fail(errno.EAFNOSUPPORT), _load(_NUMBER)])
    # whoever hides here (PR_SET_DUMPABLE) hides its open files from the host, which counts them
    program += _when(arch.prctl, [_load(_argument(0)), (_EQUAL, 0, 1, PR_SET_DUMPABLE), _fail(errno.EPERM), _load(_NUMBER)])
    return [*program, (_RETURN, 0, 0, _ALLOW)]


def install(program: list[Instruction]) -> None:
    """Installs a filter for this process and its descendants; PR_SET_NO_NEW_PRIVS must be set. Raises OSError."""
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    attribute = _Program(len(program), code)
    if libc.syscall(architecture().seccomp, 1, 0, ctypes.byref(attribute)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"seccomp filter of {len(program)} instructions not installed: {os.strerror(number)}")


def architecture() -> Architecture:
    """The running architecture. Raises OSError when its system call numbers aren't known here."""
    name = os.uname().machine
    if name not in ARCHITECTURES:
        raise OSError(errno.ENOSYS, f"no system call table for architecture {name!r}; known are {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]
