"""Children of benchmarks: time, memory of the whole tree, and a kill that leaves nothing behind."""

import sys
import time
from pathlib import Path

import pytest
from benchmarks.processes import descendants, watch

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="this system has no /proc")


def test_a_child_that_ends_gives_its_exit_code_and_the_end_of_its_output(tmp_path):
    child = watch([sys.executable, "-c", "print('last words'); raise SystemExit(5)"], tmp_path / "log")
    assert child.code == 5
    assert child.output.strip() == "last words"


@needs_proc
def test_memory_counts_the_children_of_the_child(tmp_path):
    grandchild = "held = bytearray(120 * 2**20); import time; time.sleep(1)"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {grandchild!r}])"
    child = watch([sys.executable, "-c", program], tmp_path / "log")
    assert child.code == 0
    assert child.peak_mb is not None
    assert 120 < child.peak_mb < 400


@needs_proc
def test_a_killed_child_leaves_no_grandchild_behind(tmp_path):
    program = (
        "import subprocess, sys, time\n"
        "other = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(other.pid, flush=True)\n"
        "time.sleep(60)"
    )
    began = time.monotonic()
    child = watch([sys.executable, "-c", program], tmp_path / "log", kill_after=1.5)
    assert child.code == -9
    assert time.monotonic() - began < 15
    grandchild = int(child.output.split()[0])
    deadline = time.monotonic() + 5
    while descendants(grandchild) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert descendants(grandchild) == []


def test_a_child_that_ends_before_its_kill_is_not_killed(tmp_path):
    assert watch([sys.executable, "-c", ""], tmp_path / "log", kill_after=30).code == 0
