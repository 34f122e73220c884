# ruff: noqa: E501 - an attack is one line
"""Programs that try to get out of a jail, to look out, to stay, or to take more than they were given.

Each prints a line `ESCAPED what` for everything it could do that a jail must not allow, and `tried` at the end, so that a program that
never came to its point doesn't count as held. `{...}` are places of the host's canaries.
"""

from collections.abc import Mapping
from typing import NamedTuple

from castalia.sandbox import Limits


class Attack(NamedTuple):
    """A Python program. `ends`: it is expected to be ended from outside, so it need not say `tried`."""

    source: str
    ends: bool = False
    limits: Limits = Limits(seconds=4, memory_mb=256, output_bytes=200_000, processes=16, files_mb=4)


PRELUDE = """
import ctypes, errno, glob, os, resource, signal, socket, struct, sys, threading, time
libc = ctypes.CDLL(None, use_errno=True)
def syscall(*words):
    return libc.syscall(*[ctypes.c_long(word) if isinstance(word, int) else word for word in words])
def escaped(what):
    print("ESCAPED", what, flush=True)
def attempt(what, action):
    try:
        result = action()
    except BaseException:
        return None
    escaped(what)
    return result
def denied(what, *words):
    if syscall(*words) >= 0:
        escaped(what)
def reach(family, kind, address):
    with socket.socket(family, kind) as one:
        one.settimeout(0.5)
        one.connect(address)
        if kind == socket.SOCK_DGRAM:
            one.send(b"x")
            one.recv(1)
FOLDER, SECRET, HOST, VICTIM, PORT, ABSTRACT = {folder!r}, {secret!r}, {host!r}, {victim!r}, {port!r}, {abstract!r}
"""

_SHORT = Limits(seconds=1.5, memory_mb=256, output_bytes=200_000, processes=16, files_mb=4)

LOOKING_OUT: Mapping[str, Attack] = {
    "environment": Attack("if SECRET in repr(dict(os.environ)): escaped('secret')"),
    "environ of every process": Attack(
        "for p in glob.glob('/proc/*/environ'):\n try:\n  if SECRET in open(p).read(): escaped(p)\n except OSError: pass"
    ),
    "command lines of the host": Attack(
        "for p in glob.glob('/proc/*/cmdline'):\n try:\n  if HOST in open(p).read(): escaped(p)\n except OSError: pass"
    ),
    "threads' environ": Attack(
        "for p in glob.glob('/proc/*/task/*/environ'):\n try:\n  if SECRET in open(p).read(): escaped(p)\n except OSError: pass"
    ),
    "the password file": Attack("for p in ('/etc/passwd', '/etc/shadow', '/etc/hostname', '/etc/ssh'): attempt(p, lambda: os.stat(p) and open(p).read())"),
    "home folders": Attack("for p in ('/root', '/home', '/var', '/srv', '/opt', '/mnt', '/run'): attempt(p, lambda: os.listdir(p)[0])"),
    "a folder open to all": Attack("attempt('list', lambda: os.listdir(FOLDER)); attempt('read', lambda: open(FOLDER + '/canary').read())"),
    "climbing with dots": Attack("attempt('read', lambda: open('../' * 30 + FOLDER[1:] + '/canary').read())"),
    "a link to the host": Attack("os.symlink(FOLDER + '/canary', 'link'); attempt('read', lambda: open('link').read())"),
    "the root of init": Attack("attempt('read', lambda: open('/proc/1/root' + FOLDER + '/canary').read())"),
    "the folder of the parent": Attack("attempt('read', lambda: open(f'/proc/{{os.getppid()}}/cwd/../..' + FOLDER + '/canary').read())"),
    "inherited descriptors": Attack(
        "for n in range(3, 1024):\n try:\n  p = os.readlink(f'/proc/self/fd/{{n}}'); os.fstat(n)\n  if not p.startswith('/proc'): escaped(f'fd {{n}} {{p}}')\n"
        " except OSError: pass"
    ),
    "open by handle": Attack("denied('name_to_handle_at', 303, -100, b'/', ctypes.create_string_buffer(256), ctypes.create_string_buffer(8), 0)\ndenied('open_by_handle_at', 304, -100, 0, 0)"),
    "memory of the supervisor": Attack("attempt('mem', lambda: open(f'/proc/{{os.getppid()}}/mem', 'rb').read(1)); attempt('maps', lambda: open(f'/proc/{{os.getppid()}}/maps').read()[0])"),
    "memory of init": Attack("attempt('mem', lambda: open('/proc/1/mem', 'r+b')); attempt('maps', lambda: open('/proc/1/maps').read()[0])"),
    "descriptors of the supervisor": Attack("attempt('fd', lambda: os.listdir(f'/proc/{{os.getppid()}}/fd')[0])"),
    "kernel memory and disks": Attack("for p in ('/dev/mem', '/dev/kmem', '/dev/kmsg', '/proc/kcore', '/dev/vda', '/dev/sda', '/dev/nvme0n1'): attempt(p, lambda: open(p, 'rb').read(1))"),
    "kernel log": Attack("denied('syslog', 103, 3, ctypes.create_string_buffer(64), 64)"),
    "process_vm_readv": Attack("b = ctypes.create_string_buffer(16)\nv = struct.pack('QQ', ctypes.addressof(b), 16)\ndenied('readv', 310, os.getppid(), v, 1, v, 1, 0)\ndenied('writev', 311, os.getppid(), v, 1, v, 1, 0)"),
    "ptrace": Attack("denied('seize', 101, 0x4206, os.getppid(), 0, 0)\ndenied('attach', 101, 16, os.getppid(), 0, 0)"),
    "pidfd_getfd": Attack("p = syscall(434, os.getppid(), 0)\nif p >= 0: denied('getfd', 438, p, 0, 0)"),
    "kcmp": Attack("denied('kcmp', 312, os.getpid(), os.getppid(), 2, 0, 0)"),
    "installed distributions": Attack("attempt('pydantic', lambda: __import__('pydantic')); attempt('castalia', lambda: __import__('castalia'))"),
    "keys of the kernel": Attack("denied('keyctl', 250, 0, -3, 1)\ndenied('add_key', 248, b'user', b'x', b'y', 1, -2)\ndenied('request_key', 249, b'user', b'x', 0, -2)"),
}  # fmt: skip

GETTING_OUT: Mapping[str, Attack] = {
    "writing a folder open to all": Attack("attempt('write', lambda: open(FOLDER + '/canary', 'w').write('x')); attempt('new', lambda: open(FOLDER + '/new', 'x'))"),
    "changing modes and times": Attack("attempt('chmod', lambda: os.chmod(FOLDER + '/canary', 0)); attempt('utime', lambda: os.utime(FOLDER + '/canary', (0, 0)))"),
    "removing and renaming": Attack("attempt('remove', lambda: os.remove(FOLDER + '/canary')); attempt('rename', lambda: os.rename(FOLDER + '/canary', FOLDER + '/x'))"),
    "hard link": Attack("attempt('link', lambda: os.link(FOLDER + '/canary', 'stolen'))"),
    "truncating": Attack("attempt('truncate', lambda: os.truncate(FOLDER + '/canary', 0))"),
    "core_pattern": Attack("attempt('core_pattern', lambda: open('/proc/sys/kernel/core_pattern', 'w').write('|/bin/true'))"),
    "other settings of the kernel": Attack(
        "for p in ('kernel/modprobe', 'kernel/hotplug', 'vm/drop_caches', 'net/ipv4/ip_forward', 'kernel/hostname', 'fs/binfmt_misc/register'):\n"
        " attempt(p, lambda: open('/proc/sys/' + p, 'w').write('1'))"
    ),
    "sysrq": Attack("attempt('sysrq', lambda: open('/proc/sysrq-trigger', 'w').write('h'))"),
    "cgroup release agent": Attack("for p in glob.glob('/sys/fs/cgroup/**/release_agent', recursive=True)[:5]: attempt(p, lambda: open(p, 'w').write('/x'))"),
    "sysfs": Attack("attempt('uevent', lambda: open('/sys/kernel/uevent_helper', 'w').write('/x'))"),
    "user namespace": Attack("denied('unshare', 272, 0x10000000)\ndenied('clone', 56, 0x10000000 | 17, 0, 0, 0, 0)"),
    "every namespace": Attack("for n in (0x80, 0x20000, 0x2000000, 0x4000000, 0x8000000, 0x20000000, 0x40000000): denied(f'unshare {{n:x}}', 272, n)"),
    "clone3": Attack("a = struct.pack('QQQQQQQQ', 0x10000000, 0, 0, 0, 17, 0, 0, 0)\nr = syscall(435, a, len(a))\nif r == 0: os._exit(0)\nif r > 0: escaped('clone3')"),
    "setns": Attack("for n in ('user', 'mnt', 'net', 'pid'):\n try: fd = os.open(f'/proc/1/ns/{{n}}', 0)\n except OSError: continue\n denied(n, 308, fd, 0)"),
    "mounting": Attack("denied('mount', 165, b'none', b'/tmp', b'tmpfs', 0, 0)\ndenied('remount', 165, b'none', b'/', b'', 32, 0)\ndenied('umount', 166, b'/proc', 2)"),
    "the new mount calls": Attack("denied('fsopen', 430, b'tmpfs', 0)\ndenied('open_tree', 428, -100, b'/', 1)\ndenied('move_mount', 429, -100, b'/tmp', -100, b'/work', 0)\ndenied('mount_setattr', 442, -100, b'/', 0, 0, 0)"),
    "chroot": Attack("denied('chroot', 161, b'.')\ndenied('pivot_root', 155, b'.', b'.')"),
    "io_uring": Attack("denied('setup', 425, 8, ctypes.create_string_buffer(256))\ndenied('enter', 426, 0, 0, 0, 0, 0, 0)\ndenied('register', 427, 0, 0, 0, 0)"),
    "bpf and perf": Attack("denied('bpf', 321, 0, ctypes.create_string_buffer(128), 128)\ndenied('perf', 298, ctypes.create_string_buffer(128), 0, -1, -1, 0)"),
    "userfaultfd": Attack("denied('userfaultfd', 323, 0)\ndenied('user mode', 323, 1)"),
    "modules and kexec": Attack("denied('init_module', 175, 0, 0, b'')\ndenied('finit_module', 313, 0, b'', 0)\ndenied('kexec', 246, 0, 0, 0, 0)"),
    "becoming root": Attack("denied('setuid', 105, 0)\ndenied('setgid', 106, 0)\ndenied('setresuid', 117, 0, 0, 0)\nif os.geteuid() == 0: escaped('is root')"),
    "a file that makes root": Attack("open('x', 'w').write('x'); attempt('chown', lambda: os.chown('x', 0, 0))"),
    "device nodes": Attack("attempt('disk', lambda: os.mknod('disk', 0o60666, os.makedev(8, 0))); attempt('mem', lambda: os.mknod('mem', 0o20666, os.makedev(1, 1)))"),
    "clocks and names": Attack("denied('settimeofday', 164, ctypes.create_string_buffer(16), 0)\ndenied('sethostname', 170, b'x', 1)\ndenied('reboot', 169, 0xfee1dead, 672274793, 0, 0)"),
    "the terminal": Attack("denied('TIOCSTI', 16, 0, 0x5412, b'x')\nattempt('tty', lambda: os.open('/dev/tty', os.O_RDWR))"),
    "calls of another architecture": Attack("denied('x32', 0x40000000 + 39)"),
    "thirty-two bit calls": Attack(
        "import mmap\nm = mmap.mmap(-1, 4096, prot=7)\nm.write(bytes.fromhex('b814000000cd80c3'))\n"
        "f = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))\nif f() > 0: escaped('getpid of i386')",
        ends=True,
    ),
    "raising limits": Attack("for n in ('RLIMIT_AS', 'RLIMIT_NPROC', 'RLIMIT_FSIZE', 'RLIMIT_NOFILE', 'RLIMIT_CORE'): attempt(n, lambda: resource.setrlimit(getattr(resource, n), (1 << 40, 1 << 40)))"),
    "limits of others": Attack("denied('prlimit', 302, os.getppid(), 7, struct.pack('QQ', 1, 1), 0)"),
    "changing Python": Attack("attempt('library', lambda: open(os.__file__, 'a')); attempt('module', lambda: open(os.path.dirname(os.__file__) + '/evil.py', 'w'))"),
    "changing the supervisor's code": Attack("import inspect\nfor p in sys.path + ['/castalia']: attempt(p, lambda: open(p + '/inside/start.py', 'a'))"),
    "killing a process of the host": Attack("attempt('victim', lambda: os.kill(VICTIM, 9))"),
    "slowing a process of the host": Attack("attempt('nice', lambda: os.setpriority(os.PRIO_PROCESS, VICTIM, 19))"),
}  # fmt: skip

NETWORK: Mapping[str, Attack] = {
    "loopback": Attack("attempt('connect', lambda: reach(2, 1, ('127.0.0.1', PORT)))"),
    "outside": Attack("attempt('connect', lambda: reach(2, 1, ('192.0.2.1', 80)))"),
    "datagrams": Attack("attempt('outside', lambda: reach(2, 2, ('192.0.2.1', 53))); attempt('loopback', lambda: reach(2, 2, ('127.0.0.1', PORT)))"),
    "version six": Attack("attempt('connect', lambda: reach(10, 1, ('::1', PORT)))"),
    "abstract socket": Attack("attempt('connect', lambda: reach(1, 1, '\\0' + ABSTRACT))"),
    "sockets of the host": Attack("for p in ('/run/docker.sock', '/var/run/dbus/system_bus_socket', FOLDER + '/socket'): attempt(p, lambda: reach(1, 1, p))"),
    "every other family": Attack("for n in range(3, 46):\n if n != 10:\n  for kind in (1, 2, 3, 5): attempt(f'family {{n}}', lambda: socket.socket(n, kind))"),
    "raw packets": Attack("attempt('raw', lambda: socket.socket(2, 3, 1)); attempt('packet', lambda: socket.socket(17, 3, 0))"),
    "netlink": Attack("attempt('netlink', lambda: socket.socket(16, 3, 0))"),
    "virtual machine sockets": Attack("attempt('vsock', lambda: socket.socket(40, 1).connect((2, 1234)))"),
    "names": Attack("attempt('resolve', lambda: socket.getaddrinfo('example.org', 80))"),
}  # fmt: skip

TAKING_MORE: Mapping[str, Attack] = {
    "fork bomb": Attack("while True:\n try: os.fork()\n except OSError: pass", ends=True, limits=_SHORT),
    "threads": Attack("n = 0\ntry:\n while n < 200:\n  threading.Thread(target=time.sleep, args=(2,), daemon=True).start(); n += 1\nexcept RuntimeError: pass\nif n > 40: escaped(f'{{n}} threads')"),
    "memory of one": Attack("try:\n x = bytearray(1 << 30)\n escaped('memory')\nexcept MemoryError: pass"),
    "memory of many": Attack("for _ in range(6):\n if os.fork() == 0: break\nx = b'x' * (100 << 20)\ntime.sleep(1)\nprint('held together')\nif os.getpid() % 1: escaped('never')", ends=True),
    "shared memory": Attack("n = 0\ntry:\n with open('/dev/shm/x', 'wb', buffering=0) as f:\n  for _ in range(64): n += f.write(b'x' * (1 << 20))\nexcept OSError: pass\nif n > 8 << 20: escaped(f'{{n}} bytes')"),
    "memory files": Attack("denied('memfd', 319, b'x', 0)\ndenied('memfd_secret', 447, 0)\ndenied('shmget', 29, 0, 1 << 20, 0o1600)\ndenied('msgget', 68, 0, 0o1600)\ndenied('semget', 64, 0, 1, 0o1600)"),
    "disk of the working folder": Attack("n = 0\ntry:\n for i in range(64):\n  with open(f'f{{i}}', 'wb') as f: n += f.write(b'x' * (1 << 20))\nexcept OSError: pass\nif n > 8 << 20: escaped(f'{{n}} bytes')", ends=True),
    "disk of the temporary folder": Attack("n = 0\ntry:\n for i in range(64):\n  with open(f'/tmp/f{{i}}', 'wb') as f: n += f.write(b'x' * (1 << 20))\nexcept OSError: pass\nif n > 8 << 20: escaped(f'{{n}} bytes')"),
    "one huge sparse file": Attack("attempt('sparse', lambda: os.truncate(os.open('sparse', os.O_CREAT | os.O_RDWR), 1 << 40))"),
    "a flood of files": Attack("n = 0\ntry:\n while n < 60000: os.close(os.open(f'i{{n}}', os.O_CREAT)); n += 1\nexcept OSError: pass\nprint(n)", ends=True),
    "a flood of folders": Attack("p = '.'\ntry:\n for n in range(3000): p += '/d'; os.mkdir(p)\nexcept OSError: pass", ends=True),
    "a flood of output": Attack("while True: os.write(1, b'x' * 65536)", ends=True),
    "a flood of errors": Attack("while True: os.write(2, b'x' * 65536)", ends=True),
    "time": Attack("for n in range(1, 32):\n try: signal.signal(n, signal.SIG_IGN)\n except (OSError, ValueError): pass\nwhile True: pass", ends=True, limits=_SHORT),
    "locked memory": Attack("if libc.mlockall(3) == 0: escaped('mlockall')"),
    "real-time priority": Attack("attempt('fifo', lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50)))"),
    "open files": Attack("n = 0\ntry:\n while n < 5000: os.open('/dev/null', 0); n += 1\nexcept OSError: pass\nif n > 300: escaped(f'{{n}} descriptors')"),
    "pipes' memory": Attack("n = 0\ntry:\n while n < 5000: os.pipe(); n += 1\nexcept OSError: pass\nif n > 300: escaped(f'{{n}} pipes')"),
}  # fmt: skip

STAYING: Mapping[str, Attack] = {
    "double fork": Attack("if os.fork() == 0:\n if os.fork() == 0:\n  os.execv({python}, ['python', '-c', 'import time; time.sleep(60)', HOST + '-stay'])\n os._exit(0)\nos.wait()\ntime.sleep(0.2)"),
    "a session of its own": Attack("if os.fork() == 0:\n try: os.setsid()\n except OSError: pass\n for n in (1, 15): signal.signal(n, signal.SIG_IGN)\n os.execv({python}, ['python', '-c', 'import time; time.sleep(60)', HOST + '-stay'])\ntime.sleep(0.2)"),
    "a pipe held open": Attack("if os.fork() == 0:\n time.sleep(60)\nprint('left', flush=True)"),
    "many sleepers": Attack("for _ in range(8):\n if os.fork() == 0: time.sleep(60); os._exit(0)"),
    "stopped processes": Attack("if os.fork() == 0:\n os.kill(os.getpid(), signal.SIGSTOP)\n time.sleep(60)\ntime.sleep(0.1)"),
    "forks while dying": Attack("while True:\n if os.fork(): os._exit(0)", ends=True, limits=_SHORT),
    "killing everybody": Attack("os.kill(-1, 9)", ends=True),
    "killing the supervisor": Attack("os.kill(os.getppid(), 9)\nos.kill(1, 9)", ends=True),
    "stopping the supervisor": Attack("os.kill(os.getppid(), signal.SIGSTOP)\ntime.sleep(60)", ends=True, limits=_SHORT),
    "frames for the host": Attack("b = b'{{\"ready\": {{}}}}'\nfor n in range(64):\n for p in (n, ):\n  try: os.write(p, len(b).to_bytes(4, 'big') + b)\n  except OSError: pass"),
}  # fmt: skip

COMING_BACK: Mapping[str, Attack] = {
    "links in the returned folder": Attack("os.symlink('/etc/passwd', 'passwd'); os.symlink('/', 'root'); os.symlink(FOLDER + '/canary', 'canary')"),
    "pipes in the returned folder": Attack("os.mkfifo('fifo'); attempt('bind outside', lambda: socket.socket(socket.AF_UNIX).bind(FOLDER + '/socket')); open('plain', 'w').write('x')"),
    "names that climb": Attack("open('..\\n', 'w').write('x'); open('a\\\\..\\\\b', 'w').write('x')\ntry: os.mkdir('deep'); open('deep/../../up', 'w').write('x'); escaped('up')\nexcept OSError: pass"),
    "a file that changes while it is read": Attack("open('swap', 'w').write('x')\nif os.fork() == 0:\n while True:\n  try: os.unlink('swap'); os.symlink('/etc/passwd', 'swap'); os.unlink('swap'); open('swap', 'w').write('x')\n  except OSError: pass\ntime.sleep(0.2)"),
    "hard links to one file": Attack("open('one', 'wb').write(b'x' * (1 << 20))\nfor n in range(200):\n try: os.link('one', f'two{{n}}')\n except OSError: break", ends=True),
    "secret in the output": Attack("attempt('read', lambda: print(open(FOLDER + '/canary').read()))"),
}  # fmt: skip

FAMILIES: Mapping[str, Mapping[str, Attack]] = {
    "looking out": LOOKING_OUT, "getting out": GETTING_OUT, "network": NETWORK, "taking more": TAKING_MORE, "staying": STAYING,
    "coming back": COMING_BACK,
}  # fmt: skip
