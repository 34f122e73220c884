"""Numbers of the system calls that foreign code has no business with, by architecture.

Source: `arch/x86/entry/syscalls/syscall_64.tbl` and `include/uapi/asm-generic/unistd.h` of Linux 6.18.
"""

from __future__ import annotations

import ctypes
import os

libc = ctypes.CDLL(None, use_errno=True)

PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38


class Architecture:
    """How one architecture names system calls. `audit` is its AUDIT_ARCH value."""

    def __init__(
        self, *, audit: int, clone: int, clone3: int, ioctl: int, fcntl: int, socket: int, socketpair: int, prctl: int, prlimit: int, seccomp: int,
        denied: tuple[int, ...], denied_without_namespaces: tuple[int, ...], signals: tuple[int, ...],
    ) -> None:  # fmt: skip
        self.audit, self.clone, self.clone3, self.ioctl, self.fcntl = audit, clone, clone3, ioctl, fcntl
        self.socket, self.socketpair = socket, socketpair
        self.prctl, self.prlimit, self.seccomp, self.denied = prctl, prlimit, seccomp, denied
        self.denied_without_namespaces, self.signals = denied_without_namespaces, signals


# io_uring, the new mount family, memfd_secret, pidfd_getfd, process_madvise, process_mrelease, quotactl_fd, mount_setattr,
# statmount, listmount, open_tree_attr, setxattrat, removexattrat: numbered alike everywhere
_COMMON = (425, 426, 427, 428, 429, 430, 431, 432, 433, 438, 440, 442, 443, 447, 448, 457, 458, 463, 466, 467)

ARCHITECTURES = {
    "x86_64": Architecture(
        audit=0xC000003E, clone=56, clone3=435, ioctl=16, fcntl=72, socket=41, socketpair=53, prctl=157, prlimit=302, seccomp=317,
        denied=(
            *_COMMON,
            101, 310, 311,  # ptrace, process_vm_readv, process_vm_writev
            248, 249, 250,  # add_key, request_key, keyctl
            321, 298, 323,  # bpf, perf_event_open, userfaultfd
            165, 166, 155, 161, 272, 308,  # mount, umount2, pivot_root, chroot, unshare, setns
            319, 29, 30, 31, 64, 68, 240,  # memfd_create, shmget, shmat, shmctl, semget, msgget, mq_open: memory no limit counts
            65, 66, 220, 69, 70, 71, 241,  # semop, semctl, semtimedop, msgsnd, msgrcv, msgctl, mq_unlink: objects of others, by their number
            188, 189, 190, 197, 198, 199, 206,  # extended attributes, io_setup: more of the same
            253, 294,  # inotify: what the host reads in the folders it shares
            312, 256, 279,  # kcmp, migrate_pages, move_pages
            169, 246, 320, 175, 313, 176, 167, 168, 163, 179, 103,  # reboot ... syslog
            164, 227, 159, 305, 170, 171, 172, 173,  # clocks, host names, I/O ports
            303, 304, 300, 212, 180, 153, 135, 154, 134, 136, 139,  # file handles, fanotify, obsolete calls, personality
        ),
        denied_without_namespaces=(
            90, 91, 268, 452, 92, 93, 94, 260, 132, 235, 261, 280,  # chmod, chown and utime families
            112, 109, 141, 251, 144, 142, 203, 314,  # setsid, setpgid, priorities, scheduling
            41,  # socket
        ),
        signals=(62, 200, 234, 129, 297, 424),
    ),
    "aarch64": Architecture(
        audit=0xC00000B7, clone=220, clone3=435, ioctl=29, fcntl=25, socket=198, socketpair=199, prctl=167, prlimit=261, seccomp=277,
        denied=(
            *_COMMON,
            117, 270, 271, 217, 218, 219, 280, 241, 282, 40, 39, 41, 51, 97, 268,
            279, 194, 195, 196, 190, 186, 180, 193, 191, 192, 189, 188, 187, 181, 272, 238, 239,
            142, 104, 294, 105, 273, 106, 224, 225, 89, 60, 116, 170, 112, 171, 266, 161, 162,
            264, 265, 262, 18, 42, 58, 92, 5, 6, 7, 14, 15, 16, 0, 26,
        ),
        denied_without_namespaces=(
            52, 53, 452, 55, 54, 88, 157, 154, 140, 30, 119, 118, 122, 274, 198,
        ),
        signals=(129, 130, 131, 138, 240, 424),
    ),
}  # fmt: skip


def prctl(option: int, value: int) -> None:
    """`prctl(2)` with one argument. Raises OSError."""
    if libc.prctl(option, value, 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl {option} failed: {os.strerror(code)}")
