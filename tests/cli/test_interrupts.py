"""Ctrl-C and SIGTERM end a command in order: one line, exit code 130, and what was open is closed."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from castalia.cli import main
from castalia.workspace import Workspace


def serve(folder: Path, *more: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "castalia", "ui", *more], cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_report_is_served_until_interrupted(made: Workspace, tmp_path, number: signal.Signals):
    with serve(tmp_path) as child:
        assert child.stdout
        assert re.fullmatch(r"http://127.0.0.1:\d+/ \(Ctrl-C ends it\)\n", child.stdout.readline())
        child.send_signal(number)
        _, said = child.communicate(timeout=20)
    assert (child.returncode, said) == (130, "castalia: stopped; the page is no longer served\n")


def test_a_port_that_is_taken_is_an_error_in_words(made: Workspace, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert main(["ui", "--port", str(taken.getsockname()[1])]) == 3
    assert "name another with --port" in capsys.readouterr().err
    assert main(["ui", "--port", "99999"]) == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_command_says_what_is_done_and_what_goes_on(made: Workspace, monkeypatch, capsys, number: signal.Signals):
    def interrupted(options: object) -> int:
        os.kill(os.getpid(), number)
        time.sleep(5)
        return 0

    monkeypatch.setattr("castalia.cli.data.run", interrupted)
    assert main(["run", "--until", "verify"]) == 130
    told = capsys.readouterr().err
    assert re.search(r"stopped; \d+ of \d+ stages have written their datasets", told)
    assert told.endswith("Continue with: castalia run --until verify\n")


def test_stopped_before_there_is_a_configuration_it_says_just_that(tmp_path, monkeypatch, capsys):
    def interrupted(options: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("castalia.cli.data.run", interrupted)
    assert main(["run", "--json"]) == 130
    assert '"error": "Interrupted"' in capsys.readouterr().out
