# ruff: noqa: E501 - an attack is one line
"""More programs for the battery: what jails share with the host is one kernel, with its modules, its watches, its queues and its memory.

Written as those of `sandbox_attacks`.
"""

from collections.abc import Mapping

from benchmarks.sandbox_attacks import Attack
from castalia.sandbox import Limits

_FLOOD = Limits(seconds=6, memory_mb=256, output_bytes=200_000, processes=16, files_mb=64)

MODULES_AND_WATCHES: Mapping[str, Attack] = {
    "protocols whose module the kernel would load": Attack(
        "for n, (k, p) in enumerate(((1, 132), (5, 132), (5, 0), (6, 33), (1, 262), (2, 136), (4, 0), (2, 1))):\n"
        " for f in (2, 10):\n  if syscall(41, f, k, p) >= 0 or ctypes.get_errno() not in (1, errno.EAFNOSUPPORT): escaped(f'protocol {{p}}')"
    ),
    "pairs of sockets of every family": Attack(
        "b = ctypes.create_string_buffer(16)\nfor n in range(2, 46):\n if syscall(53, n, 1, 0, b) >= 0 or ctypes.get_errno() != errno.EAFNOSUPPORT: escaped(f'family {{n}}')"
    ),
    "families with high bits": Attack("for n in (16, 17, 38, 40): denied(f'family {{n}}', 41, n + (1 << 32), 3, 0)"),
    "a watch on the host's folders": Attack(
        "denied('inotify_init', 253)\ndenied('inotify_init1', 294, 0)\ndenied('fanotify_init', 300, 0, 0)\n"
        "import fcntl\nattempt('dnotify', lambda: fcntl.fcntl(os.open(os.path.dirname(os.__file__), 0), 1026, 1))"
    ),
    "a lease on a file of the host": Attack("import fcntl\nattempt('lease', lambda: fcntl.fcntl(os.open(os.__file__, 0), 1024, 1))"),
    "input and output of the kernel's own": Attack("denied('io_setup', 206, 1000, ctypes.create_string_buffer(8))"),
    "calls of the administrator": Attack(
        "for n in (163, 167, 168, 169, 172, 173, 176, 179, 180, 212, 153, 154, 305, 159, 171, 103): denied(f'call {{n}}', n, 0, 0, 0, 0, 0)"
    ),
    "personality": Attack("denied('no random addresses', 135, 0x0040000)\ndenied('read implies exec', 135, 0x0400000)"),
}  # fmt: skip

TO_THE_HOST: Mapping[str, Attack] = {
    "signals to a process of the host, every way": Attack(
        "denied('tkill', 200, VICTIM, 9)\ndenied('tgkill', 234, VICTIM, VICTIM, 9)\ndenied('sigqueue', 129, VICTIM, 9, ctypes.create_string_buffer(128))\n"
        "p = syscall(434, VICTIM, 0)\nif p >= 0: denied('pidfd_send_signal', 424, p, 9, 0, 0)"
    ),
    "signals to the supervisor, every way": Attack(
        "s = os.getppid()\ndenied('tgkill', 234, s, s, 10)\ndenied('sigqueue', 129, s, 10, ctypes.create_string_buffer(128))\n"
        "p = syscall(434, s, 0)\nif p >= 0: denied('pidfd_send_signal', 424, p, 10, 0, 0)",
        ends=True,  # where Landlock scopes no signals, it ends the jail
    ),
    "priorities of a process of the host": Attack(
        "denied('ioprio', 251, 1, VICTIM, 3 << 13)\ndenied('affinity', 203, VICTIM, 8, (1).to_bytes(8, 'little'))\n"
        "attempt('idle', lambda: os.sched_setscheduler(VICTIM, os.SCHED_IDLE, os.sched_param(0)))\n"
        "attempt('memory', lambda: open(f'/proc/{{VICTIM}}/oom_score_adj', 'w').write('1000'))"
    ),
    "memory of a process of the host": Attack(
        "p = syscall(434, VICTIM, 0)\nif p >= 0:\n denied('madvise', 440, p, 0, 0, 0, 0)\n denied('mrelease', 448, p, 0)\nattempt('mem', lambda: open(f'/proc/{{VICTIM}}/mem', 'r+b'))"
    ),
    "hiding from the killer of the out-of-memory": Attack("attempt('oom', lambda: open('/proc/self/oom_score_adj', 'w').write('-500'))"),
    "writing through a mapping": Attack("import mmap\nattempt('shared', lambda: mmap.mmap(os.open(os.__file__, os.O_RDONLY), 4096, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE))"),
    "writing through one's own memory": Attack(
        "import mmap\nbefore = open(os.__file__, 'rb').read(64)\nm = mmap.mmap(os.open(os.__file__, os.O_RDONLY), 4096, mmap.MAP_SHARED, mmap.PROT_READ)\n"
        "try:\n lines = open('/proc/self/maps').readlines()\n place = next(int(l.split('-')[0], 16) for l in lines if l.rstrip().endswith('os.py'))\n with open('/proc/self/mem', 'r+b', buffering=0) as f:\n  f.seek(place); f.write(b'X' * 64)\nexcept (OSError, StopIteration): pass\n"
        "if open(os.__file__, 'rb').read(64) != before: escaped('os.py')"
    ),
    "a program with another's rights": Attack(
        "try:\n import shutil\n shutil.copyfile({python}, 'own'); os.chmod('own', 0o6755)\nexcept OSError: pass\nelse:\n"
        " denied('setuid', 105, 0)\n if os.stat('own').st_uid == 0: escaped('a file of root')"
    ),
    "a child of the supervisor": Attack(
        "if syscall(56, 0x8000 | 17, 0, 0, 0, 0) == 0:\n os.execv({python}, ['python', '-c', 'import time; time.sleep(60)', HOST + '-stay'])\ntime.sleep(0.2)"
    ),
    "programs without a name": Attack(
        "fd = os.open('.', os.O_TMPFILE | os.O_RDWR, 0o700) if hasattr(os, 'O_TMPFILE') else -1\nos.write(fd, open({python}, 'rb').read(1 << 20))\n"
        "if os.fork() == 0:\n os.setsid() if os.access('/proc', 4) else None\n try: os.execve(fd, ['python', HOST + '-stay'], {{}})\n finally: os._exit(0)\ntime.sleep(0.2)",
        limits=_FLOOD,
    ),
    "terminals with high bits": Attack("denied('TIOCSTI', 16, 0, 0x5412 + (1 << 32), b'x')\ndenied('TIOCSCTTY', 16, 0, 0x540E, 1)\ndenied('TIOCLINUX', 16, 1, 0x541C, b'\\x02')"),
    "datagrams from one end of a pair": Attack(
        "for k in (2, 3):\n try: a, b = socket.socketpair(socket.AF_UNIX, k)\n except OSError: continue\n"
        " for p in (FOLDER + '/box', '\\0' + ABSTRACT + '-box'):\n  attempt('send', lambda: a.sendto(b'x', p)); attempt('connect', lambda: b.connect(p))\n"
        "for k in (1, 5):\n a, b = socket.socketpair(socket.AF_UNIX, k)\n for p in (FOLDER + '/box', '\\0' + ABSTRACT + '-box'):\n  attempt('connect', lambda: a.connect(p))\n"
        "  try: a.sendto(b'x', p)\n  except OSError: pass\n  else:\n   if b.recv(1) != b'x': escaped('sent elsewhere')"
    ),
    "signals in the kernel's name": Attack(
        "import fcntl\nr, w = os.pipe()\nfor n, v in ((8, VICTIM), (10, 9), (15, struct.pack('ii', 1, VICTIM))): attempt(f'fcntl {{n}}', lambda: fcntl.fcntl(r, n, v))\n"
        "a, b = socket.socketpair()\nfor n in (0x8901, 0x8902): attempt(f'ioctl {{n:x}}', lambda: fcntl.ioctl(a, n, struct.pack('i', VICTIM)))\n"
        "try: fcntl.fcntl(a, fcntl.F_SETFL, os.O_ASYNC)\nexcept OSError: pass\nb.send(b'x')"
    ),
    "queues and semaphores of others, by number": Attack(
        "for n, w in ((65, (0, bytes(6), 1)), (66, (0, 0, 19, ctypes.create_string_buffer(256))), (220, (0, bytes(6), 1, 0)), (69, (0, bytes(16), 0, 0)),\n"
        " (70, (0, ctypes.create_string_buffer(16), 0, 0, 0)), (71, (0, 12, ctypes.create_string_buffer(256))), (241, (b'x',))):\n"
        " if syscall(n, *w) >= 0 or ctypes.get_errno() != errno.EPERM: escaped(f'call {{n}}')"
    ),
    "descriptors by way of a socket": Attack(
        "import array\na, b = socket.socketpair()\nsent = 0\nfor n in range(3, 256):\n try: os.fstat(n)\n except OSError: continue\n"
        " if n in (a.fileno(), b.fileno()): continue\n a.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [n]))]); escaped(f'descriptor {{n}}')"
    ),
}  # fmt: skip

KERNEL_MEMORY: Mapping[str, Attack] = {
    "a flood of inodes in every memory file system": Attack(
        "n, k, me = 0, [os.fork() for _ in range(2)], os.getpid()\nfor f in ('/tmp', '/dev/shm', '.'):\n try:\n  while True:\n   os.close(os.open(f'{{f}}/{{me}}-{{n}}', os.O_CREAT)); n += 1\n"
        "   if n == 60000: escaped('60000 inodes')\n except OSError: pass\nos._exit(0)",
        ends=True, limits=_FLOOD,
    ),
    "a flood of links": Attack(
        "n = 0\ntry:\n while True:\n  os.symlink('x', f's{{n}}'); os.link(f's{{n}}', f'h{{n}}', follow_symlinks=False); n += 1\n  if n == 60000: escaped('60000 links')\nexcept OSError: pass",
        ends=True, limits=_FLOOD,
    ),
    "a flood of attributes": Attack(
        "open('x', 'w')\nn = 0\ntry:\n while n < 4000: os.setxattr('x', f'user.{{n}}', b'x' * 60000); n += 1\nexcept OSError: pass\nif n > 400: escaped(f'{{n}} attributes')",
        ends=True,
    ),
    "files that are in no folder": Attack(
        "n = 0\ntry:\n for i in range(100):\n  f = os.open(f'f{{i}}', os.O_RDWR | os.O_CREAT); os.unlink(f'f{{i}}'); n += os.write(f, b'x' * (1 << 20)); time.sleep(0.02)\n"
        "  if n > 32 << 20: escaped(f'{{n}} bytes')\nexcept OSError: pass",
        ends=True,
    ),
    "mappings of files that are in no folder": Attack(
        "import mmap\nk = []\ntry:\n for i in range(100):\n  f = os.open(f'f{{i}}', os.O_RDWR | os.O_CREAT); os.unlink(f'f{{i}}'); os.write(f, b'x' * (1 << 20)); k.append(mmap.mmap(f, 1 << 20)); os.close(f); time.sleep(0.02)\n"
        "  if len(k) > 32: escaped(f'{{len(k)}} MiB')\nexcept OSError: pass",
        ends=True,
    ),
    "shared mappings of many": Attack(
        "import mmap\nfor _ in range(6):\n if os.fork() == 0: break\nm = mmap.mmap(-1, 100 << 20)\nfor p in range(0, 100 << 20, 4096): m[p] = 1\ntime.sleep(2)\nescaped('600 MiB')",
        ends=True,
    ),
    "many sparse files": Attack("for n in range(64):\n try: os.truncate(os.open(f's{{n}}', os.O_CREAT | os.O_RDWR), 3 << 20)\n except OSError: break", ends=True),
    "timers": Attack("n, t = 0, ctypes.create_string_buffer(8)\nwhile n < 5000 and syscall(222, 1, 0, t) >= 0: n += 1\nif n > 300: escaped(f'{{n}} timers')"),
    "queued signals": Attack(
        "signal.pthread_sigmask(signal.SIG_BLOCK, [40])\nn = 0\nb = struct.pack('iii', 40, 0, -1) + bytes(116)\nwhile n < 5000 and syscall(129, os.getpid(), 40, b) >= 0: n += 1\nif n > 300: escaped(f'{{n}} signals')"
    ),
    "children that nobody waits for": Attack(
        "n = 0\ntry:\n while n < 500:\n  if os.fork() == 0: os._exit(0)\n  n += 1\nexcept OSError: pass\nif n > 60: escaped(f'{{n}} zombies')"
    ),
    "pipes made long": Attack(
        "import fcntl\nn, k = 0, []\ntry:\n while n < 200 << 20:\n  r, w = os.pipe(); k += [r, w]; os.set_blocking(w, False); fcntl.fcntl(w, 1031, 1 << 20)\n"
        "  try:\n   while True: n += os.write(w, b'x' * 65536)\n  except BlockingIOError: pass\nexcept OSError: pass\nif n > 150 << 20: escaped(f'{{n}} bytes')"
    ),
    "a name as long as can be, many times": Attack("n = 0\ntry:\n while n < 60000: os.close(os.open(f'{{n:0255}}', os.O_CREAT)); n += 1\nexcept OSError: pass\nif n > 50000: escaped(f'{{n}} names')", ends=True, limits=_FLOOD),
}  # fmt: skip

FAMILIES: Mapping[str, Mapping[str, Attack]] = {
    "modules and watches": MODULES_AND_WATCHES, "to the host": TO_THE_HOST, "the kernel's memory": KERNEL_MEMORY,
}  # fmt: skip
