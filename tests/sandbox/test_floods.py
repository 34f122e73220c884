"""Programs that fill what no size counts: inodes, files without a name, and the kernel's own lists."""

import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from castalia.sandbox import Case, Failure, Limits, Sandbox, Value
from castalia.sandbox.usage import folder_mb

ROOM = Limits(seconds=4, files_mb=32, processes=16)
FILES = """
import os
def flood():
    made, me = 0, os.getpid()
    for folder in ("/tmp", "/dev/shm", "."):
        try:
            while True:
                os.close(os.open(f"{folder}/{me}-{made}", os.O_CREAT))
                made += 1
        except OSError:
            pass
"""


def lowest_while(action: Callable[[], object], measure: Callable[[], int]) -> int:
    """The lowest value of a measure while an action goes on."""
    seen, done = [measure()], threading.Event()

    def look() -> None:
        while not done.wait(0.01):
            seen.append(measure())

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        action()
    finally:
        done.set()
        watcher.join()
    return min(seen)


def test_a_flood_of_files_ends_the_program_and_leaves_the_host_its_inodes(sandbox: Sandbox) -> None:
    def flood() -> None:
        outcome = sandbox.run(["python", "-"], stdin=(FILES + "os.fork()\nflood()\n").encode(), limits=ROOM)
        assert outcome.kind in ends(sandbox)
        assert len(outcome.files) <= 1000

    before = free_inodes()
    assert lowest_while(flood, free_inodes) > before - 150_000
    assert sandbox.run(["python", "-c", "print(1)"]).stdout == b"1\n"


def ends(sandbox: Sandbox) -> set[str]:
    """In tier B the files lie on the host's disk, which may be slow enough for the time to run out first."""
    return {"output"} if sandbox.tier == "A" else {"output", "timeout"}


def free_inodes() -> int:
    return os.statvfs(tempfile.gettempdir()).f_ffree


def test_the_kernel_holds_no_more_inodes_for_a_jail_than_allowed() -> None:
    slabs = Path("/proc/slabinfo")
    if os.geteuid() != 0 or not slabs.exists():
        pytest.skip("only root sees what the kernel's memory is used for")

    def unused() -> int:
        [line] = [line for line in slabs.read_text().splitlines() if line.startswith("shmem_inode_cache")]
        return -int(line.split()[1])

    with Sandbox(tier="A") as sandbox:
        before = unused()
        lowest = lowest_while(lambda: sandbox.run(["python", "-"], stdin=(FILES + "flood()").encode(), limits=ROOM), unused)
    assert before - lowest < 90_000  # 70 MB; without a bound it is several hundred thousand


def test_a_flood_in_a_call_is_an_end_of_that_call(sandbox: Sandbox) -> None:
    [result] = sandbox.evaluate("python", FILES, [{"call": "flood"}], limits=ROOM)
    assert isinstance(result, Failure)
    assert result.kind in ends(sandbox)
    grade = sandbox.grade_python(FILES, [Case("flood")], limits=ROOM)
    assert not grade.passed
    assert grade.kind in ends(sandbox)


@pytest.mark.parametrize("keep", ["kept.append(file)", "kept.append(mmap.mmap(file, 1 << 20)); os.close(file)"], ids=["open", "mapped"])
def test_files_that_are_in_no_folder_count_too(sandbox: Sandbox, keep: str) -> None:
    source = f"""
import mmap, os, time
kept, made = [], 0
try:
    for number in range(100):
        file = os.open("x", os.O_RDWR | os.O_CREAT)
        os.unlink("x")
        made += os.write(file, bytes(1 << 20))
        {keep}
        time.sleep(0.02)
finally:
    print(made >> 20, flush=True)
"""
    outcome = sandbox.run(["python", "-"], stdin=source.encode(), limits=Limits(seconds=6, files_mb=8))
    assert outcome.kind in ("output", "wrong")
    assert int(outcome.stdout or b"0") <= 12


def test_no_module_of_the_kernel_is_loaded_for_a_protocol(sandbox: Sandbox) -> None:
    source = """
import ctypes, errno, socket
libc = ctypes.CDLL(None, use_errno=True)
for kind, protocol in ((1, 132), (5, 0), (6, 33), (1, 262), (2, 136)):
    try:
        socket.socket(socket.AF_INET, kind, protocol)
        print("made", protocol)
    except OSError as error:
        assert error.errno in (errno.EAFNOSUPPORT, errno.EPERM), error
for family in (2, 10, 16, 30, 40):
    assert libc.socketpair(family, 1, 0, ctypes.create_string_buffer(8)) < 0
    assert ctypes.get_errno() == errno.EAFNOSUPPORT, (family, ctypes.get_errno())
a, b = socket.socketpair()
a.send(b"kept")
print(b.recv(4).decode())
"""
    outcome = sandbox.run(["python", "-"], stdin=source.encode())
    assert (outcome.stdout, outcome.stderr) == (b"kept\n", b"")


def test_what_the_host_reads_can_not_be_watched(sandbox: Sandbox) -> None:
    source = """
import ctypes, fcntl, os
libc = ctypes.CDLL(None, use_errno=True)
print(libc.inotify_init1(0), libc.inotify_init())
try:
    fcntl.fcntl(os.open(os.path.dirname(os.__file__), os.O_RDONLY), fcntl.F_NOTIFY, 1)
except PermissionError:
    print("held")
"""
    assert sandbox.run(["python", "-"], stdin=source.encode()).stdout == b"-1 -1\nheld\n"


def test_the_values_of_a_call_are_bounded_together(sandbox: Sandbox) -> None:
    results = sandbox.evaluate("python", "def f(n): return 'x' * 900_000", [{"call": "f", "args": [n]} for n in range(60)])
    kinds = ["ok" if isinstance(one, Value) else one.kind for one in results]
    assert kinds == ["ok"] * kinds.count("ok") + ["output"] * kinds.count("output")
    assert 30 < kinds.count("ok") < 40


def test_a_folder_that_can_not_be_looked_into_counts_as_a_flood() -> None:
    with tempfile.TemporaryDirectory(prefix="closed-") as name:
        Path(name).chmod(0o777)
        me = os.geteuid()
        if me == 0:
            os.seteuid(65534)  # root looks into every folder
        try:
            (Path(name) / "closed").mkdir(0o300)
            assert folder_mb(Path(name)) == float("inf")
        finally:
            os.seteuid(me)
