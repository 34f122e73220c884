"""Programs that try to get out, to look out, or to take more than they were given."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from castalia.sandbox import Limits, Outcome, Sandbox

QUICK = Limits(seconds=1.0, memory_mb=256, output_bytes=100_000, processes=16, files_mb=4)

# what the attacks share: a raw system call, and a report on what they could do
PRELUDE = """
import ctypes, errno, glob, os, resource, signal, socket, sys, time
libc = ctypes.CDLL(None, use_errno=True)
def call(*words):
    return libc.syscall(*[ctypes.c_long(word) if isinstance(word, int) else word for word in words])
def attempt(name, action):
    try:
        action()
    except Exception as error:
        print("held", name, type(error).__name__, flush=True)
    else:
        print("DONE", name, flush=True)
"""


def attack(sandbox: Sandbox, source: str, *, limits: Limits = QUICK) -> Outcome:
    return sandbox.run(["python", "-"], stdin=(PRELUDE + source).encode(), limits=limits)


def assert_held(outcome: Outcome, count: int) -> None:
    """Every one of `count` attempts was made and held."""
    said = outcome.stdout.decode().splitlines()
    assert [line for line in said if line.startswith("DONE")] == []
    assert len([line for line in said if line.startswith("held")]) == count, (outcome.stderr.decode(), said)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may read and write, with a file in it."""
    with tempfile.TemporaryDirectory(prefix="canary-") as name:
        folder = Path(name)
        folder.chmod(0o777)
        (folder / "canary").write_text("canary-content")
        (folder / "canary").chmod(0o666)
        yield folder
        assert sorted(path.name for path in folder.iterdir()) == ["canary"]
        assert (folder / "canary").read_text() == "canary-content"
        assert (folder / "canary").stat().st_mode & 0o777 == 0o666


def test_the_environment_of_the_host_is_nowhere_to_be_read(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CASTALIA_CANARY", "canary-secret")
    outcome = attack(
        sandbox,
        """
seen = repr(dict(os.environ))
for path in glob.glob("/proc/*/environ") + glob.glob("/proc/*/cmdline"):
    try:
        seen += open(path).read()
    except OSError:
        pass
print(len(seen), seen)
""",
    )
    assert outcome.kind == "ok"
    assert b"canary" not in outcome.stdout


def test_files_of_the_host_can_not_be_read_written_or_changed(sandbox: Sandbox, open_folder: Path) -> None:
    outcome = attack(
        sandbox,
        f"""
folder = {str(open_folder)!r}
attempt("read", lambda: open(folder + "/canary").read())
attempt("list", lambda: os.listdir(folder))
attempt("overwrite", lambda: open(folder + "/canary", "w"))
attempt("truncate", lambda: os.truncate(folder + "/canary", 0))
attempt("append", lambda: open(folder + "/canary", "a"))
attempt("create", lambda: open(folder + "/new", "x"))
attempt("remove", lambda: os.remove(folder + "/canary"))
attempt("rename", lambda: os.rename(folder + "/canary", folder + "/other"))
attempt("chmod", lambda: os.chmod(folder + "/canary", 0o600))
attempt("touch", lambda: os.utime(folder + "/canary", (0, 0)))
attempt("link", lambda: os.link(folder + "/canary", "stolen"))
attempt("users", lambda: open("/etc/passwd").read())
attempt("root", lambda: os.listdir("/root"))
attempt("home", lambda: os.listdir("/home"))
os.symlink(folder + "/canary", "link")
attempt("through a link", lambda: open("link").read())
attempt("climb", lambda: open("../" * 20 + folder[1:] + "/canary").read())
attempt("through proc", lambda: open("/proc/1/root" + folder + "/canary").read())
""",
    )
    assert_held(outcome, 17)


def test_the_interpreter_and_the_supervisor_can_not_be_changed(sandbox: Sandbox) -> None:
    outcome = attack(
        sandbox,
        """
attempt("library", lambda: open(os.__file__, "a"))
attempt("interpreter", lambda: open(sys.executable or "/python/bin/python", "r+b"))
attempt("new module", lambda: open(os.path.dirname(os.__file__) + "/site-packages/evil.py", "w"))
attempt("memory of the supervisor", lambda: open(f"/proc/{os.getppid()}/mem", "r+b"))
attempt("descriptors of the supervisor", lambda: os.listdir(f"/proc/{os.getppid()}/fd"))
attempt("memory of init", lambda: open("/proc/1/mem", "r+b"))
attempt("kernel settings", lambda: open("/proc/sys/kernel/core_pattern", "w"))
attempt("host name", lambda: open("/proc/sys/kernel/hostname", "w"))
attempt("sysrq", lambda: open("/proc/sysrq-trigger", "w"))
attempt("kernel messages", lambda: open("/dev/kmsg"))
attempt("physical memory", lambda: open("/dev/mem"))
attempt("disk", lambda: os.open([d for d in ("/dev/vda", "/dev/sda", "/dev/nvme0n1", "/dev/none") if d][0], os.O_RDWR))
attempt("device node", lambda: os.mknod("node", 0o60666, os.makedev(8, 0)))
attempt("new folder in the root", lambda: os.mkdir("/new"))
""",
    )
    assert_held(outcome, 14)


def test_system_calls_that_widen_rights_are_denied(sandbox: Sandbox) -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("numbers are those of x86_64")
    outcome = attack(
        sandbox,
        """
def raw(name, *words):
    result = call(*words)
    print("held" if result < 0 else "DONE", name, errno.errorcode.get(ctypes.get_errno()), flush=True)
raw("ptrace", 101, 16, os.getppid(), 0, 0)
raw("process_vm_readv", 310, os.getppid(), 0, 0, 0, 0, 0)
raw("keyctl", 250, 0, -3, 1)
raw("add_key", 248, 0, 0, 0, 0, -2)
raw("io_uring_setup", 425, 8, ctypes.create_string_buffer(256))
raw("bpf", 321, 0, 0, 0)
raw("perf_event_open", 298, ctypes.create_string_buffer(128), 0, -1, -1, 0)
raw("userfaultfd", 323, 0)
raw("userfaultfd, user mode", 323, 1)
raw("mount", 165, b"none", b"/tmp", b"tmpfs", 0, 0)
raw("umount", 166, b"/proc", 2)
raw("fsopen", 430, b"tmpfs", 0)
raw("open_tree", 428, -100, b"/", 1)
raw("unshare user", 272, 0x10000000)
raw("unshare all", 272, 0x7E020000)
raw("setns", 308, 0, 0)
raw("clone with a user namespace", 56, 0x10000000 | 17, 0, 0, 0, 0)
raw("clone3", 435, ctypes.create_string_buffer(88), 88)
raw("chroot", 161, b".")
raw("pivot_root", 155, b".", b".")
raw("memfd_create", 319, b"x", 0)
raw("shmget", 29, 0, 1 << 20, 0o1600)
raw("open_by_handle_at", 304, -100, 0, 0)
raw("name_to_handle_at", 303, -100, b"/", ctypes.create_string_buffer(256), ctypes.create_string_buffer(8), 0)
raw("kexec_load", 246, 0, 0, 0, 0)
raw("init_module", 175, 0, 0, b"")
raw("settimeofday", 164, 0, 0)
raw("sethostname", 170, b"x", 1)
raw("reboot", 169, 0, 0, 0, 0)
raw("TIOCSTI", 16, 0, 0x5412, b"x")
raw("prlimit of the parent", 302, os.getppid(), 7, 0, ctypes.create_string_buffer(16))
raw("x32 getpid", 0x40000000 + 39)
raw("setuid", 105, 0)
for family in (16, 17, 40, 38):
    raw(f"socket of family {family}", 41, family, 3, 0)
""",
    )
    assert_held(outcome, 37)


def test_limits_can_not_be_raised_again(sandbox: Sandbox) -> None:
    outcome = attack(
        sandbox,
        """
for name in ("RLIMIT_AS", "RLIMIT_NPROC", "RLIMIT_FSIZE", "RLIMIT_NOFILE", "RLIMIT_CORE"):
    attempt(name, lambda: resource.setrlimit(getattr(resource, name), (1 << 40, 1 << 40)))
""",
    )
    assert_held(outcome, 5)


def test_no_connection_reaches_the_host(sandbox: Sandbox) -> None:
    name = f"\0canary-{os.getpid()}-{sandbox.tier}"
    with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as abstract:
        tcp.bind(("127.0.0.1", 0))
        abstract.bind(name)
        for listener in (tcp, abstract):
            listener.listen()
            listener.setblocking(False)
        outcome = attack(
            sandbox,
            f"""
def connect(family, kind, address):
    with socket.socket(family, kind) as one:
        one.settimeout(0.2)
        one.connect(address)
attempt("loopback", lambda: connect(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", {tcp.getsockname()[1]})))
attempt("outside", lambda: connect(socket.AF_INET, socket.SOCK_STREAM, ("192.0.2.1", 80)))
attempt("datagrams", lambda: connect(socket.AF_INET, socket.SOCK_DGRAM, ("192.0.2.1", 53)))
attempt("abstract socket", lambda: connect(socket.AF_UNIX, socket.SOCK_STREAM, {name!r}))
attempt("names", lambda: socket.getaddrinfo("example.org", 80))
""",
        )
        assert_held(outcome, 5)
        for listener in (tcp, abstract):
            with pytest.raises(BlockingIOError):
                listener.accept()


def test_other_processes_can_not_be_signalled(sandbox: Sandbox) -> None:
    victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        outcome = attack(
            sandbox,
            f"""
attempt("a process of the host", lambda: os.kill({victim.pid}, 9))
attempt("this test", lambda: os.kill({os.getpid()}, 9))
attempt("priority", lambda: os.setpriority(os.PRIO_PROCESS, {victim.pid}, 19))
""",
        )
        assert_held(outcome, 3)
        assert victim.poll() is None
    finally:
        victim.kill()
        victim.wait()


@pytest.mark.parametrize("target", ["os.getppid()", "1", "0", "-1"])
def test_killing_everything_in_sight_ends_only_the_program(sandbox: Sandbox, target: str) -> None:
    outcome = attack(sandbox, f"print('before', flush=True)\nos.kill({target}, signal.SIGKILL)\n")
    assert outcome.kind in ("wrong", "crash", "ok")
    assert outcome.stdout in (b"", b"before\n")
    assert sandbox.run(["python", "-c", "print(1)"]).stdout == b"1\n"


def test_a_fork_bomb_is_bounded_and_leaves_nobody(sandbox: Sandbox) -> None:
    began = time.monotonic()
    outcome = attack(
        sandbox,
        """
import itertools
for number in itertools.count():
    try:
        os.fork()
    except OSError:
        pass
""",
        limits=Limits(seconds=0.5, processes=8),
    )
    assert outcome.kind == "timeout"
    assert time.monotonic() - began < 15


def test_processes_beyond_the_limit_are_not_started(sandbox: Sandbox) -> None:
    outcome = attack(
        sandbox,
        """
started = 0
try:
    while True:
        if os.fork() == 0:
            time.sleep(5); os._exit(0)
        started += 1
except OSError:
    print(started)
""",
        limits=Limits(seconds=3, processes=8),
    )
    assert outcome.kind == "ok"
    assert 0 < int(outcome.stdout) <= 12


def test_a_program_that_hides_in_the_background_does_not_survive(sandbox: Sandbox) -> None:
    marker = f"survivor-{os.getpid()}-{sandbox.tier}"
    outcome = attack(
        sandbox,
        f"""
def spawn():
    os.execv(os.path.realpath("/proc/self/exe") if os.path.exists("/python/bin/python") is False else "/python/bin/python",
             ["python", "-c", "import time, signal; signal.signal(15, signal.SIG_IGN); time.sleep(60)", {marker!r}])
for leave in (False, True):
    if os.fork() == 0:
        if leave:
            try:
                os.setsid()
            except OSError:
                pass
        if os.fork() == 0:
            spawn()
        os._exit(0)
time.sleep(0.3)
print("left")
""",
    )
    assert outcome.stdout == b"left\n"
    assert _processes_with(marker) == []


def test_nobody_survives_a_jail_that_ran_out_of_time(sandbox: Sandbox) -> None:
    marker = f"sleeper-{os.getpid()}-{sandbox.tier}"
    outcome = sandbox.run(
        ["python", "-c", "import os, time\nfor _ in range(3): os.fork()\ntime.sleep(60)", marker], limits=Limits(seconds=0.4)
    )
    assert outcome.kind == "timeout"
    assert _processes_with(marker) == []


def _processes_with(marker: str) -> list[str]:
    found: list[str] = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and marker.encode() in (folder / "cmdline").read_bytes():
                found.append(folder.name)
        except OSError:
            continue
    return found


def test_a_program_that_ignores_signals_is_ended_in_time(sandbox: Sandbox) -> None:
    outcome = attack(sandbox, "for n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)\nwhile True: pass", limits=Limits(seconds=0.3))
    assert outcome.kind == "timeout"
    assert outcome.seconds < 5


def test_memory_of_one_process_is_bounded(sandbox: Sandbox) -> None:
    outcome = attack(sandbox, "held = bytearray(1 << 30)")
    assert outcome.kind == "memory"


def test_memory_of_all_processes_together_is_bounded(sandbox: Sandbox) -> None:
    outcome = attack(
        sandbox,
        """
for _ in range(6):
    if os.fork() == 0:
        break
held = b"x" * (60 << 20)
time.sleep(5)
""",
        limits=Limits(seconds=4, memory_mb=128),
    )
    assert outcome.kind == "memory"


def test_a_flood_of_output_is_cut(sandbox: Sandbox) -> None:
    outcome = attack(sandbox, "while True: os.write(1, b'x' * 65536); os.write(2, b'y' * 65536)")
    assert outcome.kind == "output"
    assert len(outcome.stdout) + len(outcome.stderr) <= QUICK.output_bytes + 2


def test_memory_file_systems_and_folders_are_bounded(sandbox: Sandbox) -> None:
    outcome = attack(
        sandbox,
        """
total = 0
for folder in ("/dev/shm", "/tmp", "."):
    for number in range(40):
        try:
            with open(f"{folder}/fill{number}", "wb", buffering=0) as file:
                total += file.write(b"x" * (1 << 20))
        except OSError:
            break
        time.sleep(0.01)
print(total >> 20)
""",
        limits=Limits(seconds=3, files_mb=4),
    )
    assert outcome.kind == "output" or int(outcome.stdout) <= 12
    assert sum(map(len, outcome.files.values())) <= 4 << 20


def test_only_regular_files_come_back(sandbox: Sandbox) -> None:
    outcome = attack(
        sandbox,
        """
open("plain", "w").write("kept")
os.symlink("/etc/passwd", "link")
os.symlink("/", "root")
os.mkfifo("pipe")
os.mkdir("deep"); open("deep/file", "w").write("too")
""",
    )
    assert outcome.kind == "ok", outcome.stderr
    assert outcome.files == {"plain": b"kept", "deep/file": b"too"}
    assert "link" in outcome.detail


def test_installed_distributions_are_invisible_unless_named(sandbox: Sandbox) -> None:
    source = "import markupsafe; print(markupsafe.escape('<'))"
    assert sandbox.run(["python", "-c", source]).kind == "wrong"
    assert sandbox.run(["python", "-c", source], packages=["markupsafe"]).stdout == b"&lt;\n"
    outcome = attack(
        sandbox,
        f"""
for name in ("pydantic", "numpy", "castalia", "pytest", "pip"):
    attempt(name, lambda: __import__(name))
sys.path.insert(0, {str(Path(pytest.__file__).parent.parent)!r})
attempt("by its place", lambda: __import__("pluggy"))
""",
    )
    assert_held(outcome, 6)


def test_a_file_name_that_climbs_out_is_refused_before_a_jail_starts(sandbox: Sandbox) -> None:
    for name in ("/etc/evil", "../evil", "a/../../evil", ""):
        assert sandbox.run(["python", "-c", "pass"], files={name: b"x"}).kind == "refused"


def test_no_jail_leaves_a_zombie_or_an_open_descriptor_in_the_host(sandbox: Sandbox) -> None:
    def children() -> set[str]:  # other rooms' tests keep workers of their own
        return {pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}

    before, workers = len(list(Path("/proc/self/fd").iterdir())), children()
    for _ in range(3):
        sandbox.run(["python", "-c", "pass"])
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert children() <= workers
    assert signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL
