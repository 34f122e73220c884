"""Asking by batch through the command line: what is under way, what to do next, waiting, and results that come as a file."""

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_oracle_command import configure, facts, serving

from castalia.cli import batches as batches_command
from castalia.cli import main
from scripted_expert import expert

TAXONOMY = ("run", "--until", "taxonomy")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(batches_command, "POLL_SECONDS", 0.05)
    return tmp_path


def test_a_batch_is_announced_shown_waited_for_and_taken_in(here: Path, capsys: pytest.CaptureFixture[str]):
    with serving(expert) as server:
        server.batches.seconds = 3600
        configure(here, server, role={"batch": True})
        assert main([*TAXONOMY]) == 6
        told = capsys.readouterr().err
        assert "1 calls" in told and "submitted" in told
        assert main(["oracle"]) == 0
        shown = capsys.readouterr().out
        for words in ("batch_0", "0 min", "the provider has it", "castalia oracle --wait"):
            assert words in shown
        [batch] = server.batches.batches.values()
        threading.Timer(1.5, lambda: setattr(batch, "due", 0.0)).start()
        assert main(["oracle", "--wait"]) == 0
        waited = capsys.readouterr().out.splitlines()
        assert waited[0] == "batch batch_0 is under way: 0 of 1 calls"
        assert waited[-2:] == ["batch batch_0 ended: 1 answered", "no batch is under way any more; go on with: castalia run"]
        assert main([*TAXONOMY]) == 0
        assert (server.charged, server.charged_in_batches) == (1, 1)
        capsys.readouterr()
        assert main(["oracle", "--wait"]) == 0
        assert capsys.readouterr().out == "no batch is under way\n"


def test_a_batch_that_no_role_asks_for_any_more_is_named(here: Path, capsys: pytest.CaptureFixture[str]):
    with serving(expert) as server:
        server.batches.seconds = 60
        configure(here, server, role={"batch": True})
        assert main([*TAXONOMY]) == 6
        configure(here, server)
        assert main(["oracle", "--wait"]) == 2
        told = capsys.readouterr().err
        assert "batch_0" in told and "`batch: true`" in told


def test_a_batch_whose_process_died_says_that_the_next_run_looks_for_it(here: Path, capsys: pytest.CaptureFixture[str]):
    with serving(expert) as server:
        configure(here, server, role={"batch": True})
        command = [sys.executable, "-m", "castalia", *TAXONOMY]
        done = subprocess.run(
            command, cwd=here, env={**os.environ, "OMP_NUM_THREADS": "1", "CASTALIA_FAILPOINT": "batch-created"}, check=False
        )
        assert done.returncode == -signal.SIGKILL
        assert main(["oracle", "--json"]) == 0
        [batch] = [fact["batch"] for fact in facts(capsys) if "batch" in fact]
        assert batch["state"] == "prepared"
        assert "the next run looks for it" in batch["how_it_stands"]


# By file


def by_file(folder: Path) -> list[dict[str, Any]]:
    """Configures a writer by file, runs, and returns what stands in the file."""
    settings = {
        "name": "invented", "domain": "invented words", "oracles": {"writer": {"provider": "batch_file", "model": "m", "max_tokens": 2000}},
        "stages": {"taxonomy": {"nodes_per_category": 1}}, "execution": {"store": "work"},
    }  # fmt: skip
    (folder / "castalia.yaml").write_text(yaml.safe_dump(settings))
    assert main([*TAXONOMY]) == 6
    return [json.loads(line) for line in (folder / "work" / "pending.batch.jsonl").read_text().splitlines()]


def result(item: dict[str, Any], **changes: Any) -> bytes:
    text = expert(0, item["body"]["messages"][-1]["content"]).text
    body = {"model": "m", "choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]}
    line = {"custom_id": item["custom_id"], "response": {"status_code": 200, "body": body}, "error": None, **changes}
    return json.dumps(line).encode()


def test_results_with_marks_strangers_and_broken_lines_are_taken_in_and_the_lines_are_named(here: Path, capsys: pytest.CaptureFixture[str]):
    [item] = by_file(here)
    capsys.readouterr()
    good = result(item)
    lines = [b"\xef\xbb\xbf" + result({**item, "custom_id": "somebody-else"}), good, b"", b"[]", good[:50]]
    (here / "results.jsonl").write_bytes(b"\r\n".join(lines))
    assert main(["oracle", "--import", "results.jsonl"]) == 3
    told = capsys.readouterr()
    assert "1 answers filed" in told.out and "0 calls still wait" in told.out
    assert "'somebody-else'" in told.out
    assert "results.jsonl:4: it is no JSON object with a `custom_id`" in told.err
    assert "results.jsonl:5:" in told.err
    assert "All others were taken in" in told.err
    assert main([*TAXONOMY]) == 0
    assert not (here / "work" / "pending.batch.jsonl").exists()


def test_a_call_whose_result_was_an_error_waits_again(here: Path, capsys: pytest.CaptureFixture[str]):
    [item] = by_file(here)
    (here / "results.jsonl").write_bytes(result(item, response={"status_code": 500, "body": {"error": "overloaded"}}))
    capsys.readouterr()
    assert main(["oracle", "--import", "results.jsonl"]) == 0
    assert "1 failed, 1 calls still wait" in capsys.readouterr().out
    assert main(["oracle", "--export", "again.jsonl"]) == 0
    assert json.loads((here / "again.jsonl").read_text())["custom_id"] == item["custom_id"]
    other = result(item, id="another")
    (here / "results.jsonl").write_bytes(result(item, error={"code": "x"}, response=None) + b"\n" + result(item) + b"\n" + other + b"\n")
    capsys.readouterr()
    assert main(["oracle", "--import", "results.jsonl"]) == 0
    told = capsys.readouterr().out
    assert "1 answers filed" in told and "0 failed" in told
    assert "second answers" in told


def test_results_in_another_encoding_are_refused_with_the_cure(here: Path, capsys: pytest.CaptureFixture[str]):
    [item] = by_file(here)
    (here / "results.jsonl").write_bytes(result(item).decode().encode("utf-16"))
    assert main(["oracle", "--import", "results.jsonl"]) == 3
    assert "save them as UTF-8" in capsys.readouterr().err
