"""`castalia train`, `eval` and `loop` as people meet them: what they refuse and why, a served model, an export."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from castalia.cli import main
from castalia.evaluation.results import ItemResult
from castalia.harmony import gpt_oss_vocabulary
from castalia.harmony.vocabulary import RETURN
from castalia.records import Failure
from castalia.workspace import Workspace

MODEL = "me/Tea 20B"


class Served(BaseHTTPRequestHandler):
    """An OpenAI-compatible server of one model that always says the same."""

    said = "Three minutes."
    paths: tuple[str, ...] = ("/v1/models", "/v1/completions")
    key = ""

    def do_GET(self) -> None:
        self._send({"object": "list", "data": [{"id": MODEL}, {"id": "other"}]})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        vocabulary = gpt_oss_vocabulary()
        channel, message = (vocabulary.special[token] for token in ("<|channel|>", "<|message|>"))
        ids = [channel, *vocabulary.encode("final"), message, *vocabulary.encode(self.said), vocabulary.special[RETURN]]
        assert asked["model"] == MODEL
        self._send({"choices": [{"index": 0, "token_ids": ids, "stop_reason": None}]})

    def _send(self, answer: dict[str, Any]) -> None:
        self._send_text(json.dumps(answer))

    def _send_text(self, said: str) -> None:
        allowed = not self.key or self.headers.get("Authorization") == f"Bearer {self.key}"
        text = said.encode()
        self.send_response((200 if self.path in self.paths else 404) if allowed else 401)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


@pytest.fixture
def server() -> Iterator[type[Served]]:
    """The handler class, with `url`; a test may change what it says."""

    class Own(Served):
        url = ""

    running = ThreadingHTTPServer(("127.0.0.1", 0), Own)
    Own.url = f"http://127.0.0.1:{running.server_address[1]}/v1"
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield Own
    running.shutdown()
    running.server_close()
    thread.join()


def test_a_served_model_is_measured_under_its_own_name_and_its_failures_are_kept(made: Workspace, server: Any, capsys):
    assert main(["eval", "--server", server.url, "--model", MODEL]) == 0
    told = capsys.readouterr().out
    assert told.splitlines()[1].split() == ["all", "1", "1", "1", "1"]
    assert "0 failures stored" in told
    [result] = made.store.read_dataset("results.served-me-tea-20b.dev", ItemResult)
    assert (result.answer, result.passed) == ("Three minutes.", True)
    server.said = "One."
    assert main(["eval", "--server", server.url, "--model", MODEL, "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"failures_stored": 1}
    [failure] = made.store.read_dataset("failures", Failure)
    assert (failure.target, failure.answer) == (MODEL, "One.")


def test_a_server_that_is_not_there_is_named(made: Workspace, capsys):
    assert main(["eval", "--server", "http://127.0.0.1:9/v1", "--model", MODEL]) == 3
    assert "server 'http://127.0.0.1:9/v1' can't be reached" in capsys.readouterr().err


def test_a_model_that_is_not_served_is_named_with_those_that_are(made: Workspace, server: Any, capsys):
    assert main(["eval", "--server", server.url, "--model", "tea"]) == 3
    assert f"has no model 'tea'; it serves '{MODEL}', 'other'" in capsys.readouterr().err


def test_an_address_that_is_no_server_of_models_says_what_it_mostly_is(made: Workspace, server: Any, capsys):
    assert main(["eval", "--server", server.url.removesuffix("/v1"), "--model", MODEL]) == 3
    assert "mostly ends in /v1" in capsys.readouterr().err


def test_a_server_that_talks_no_json_is_refused_by_name(made: Workspace, server: Any, capsys, monkeypatch):
    monkeypatch.setattr(server, "do_POST", lambda self: self._send_text("<html>busy</html>"))
    assert main(["eval", "--server", server.url, "--model", MODEL]) == 3
    assert "no JSON" in capsys.readouterr().err
    assert not made.store.has("results.served-me-tea-20b.dev")


def test_a_server_s_key_comes_from_the_variable_that_is_named(made: Workspace, server: Any, capsys, monkeypatch):
    server.key = "secret"
    asked = ["eval", "--server", server.url, "--model", MODEL]
    assert main(asked) == 3
    assert "--api-key-env" in capsys.readouterr().err
    assert main([*asked, "--api-key-env", "TEA_KEY"]) == 2
    monkeypatch.setenv("TEA_KEY", "secret")
    assert main([*asked, "--api-key-env", "TEA_KEY"]) == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["eval", "--server", "http://127.0.0.1:9/v1"], "needs --model NAME"),
        (["eval", "--model", "x"], "name it with --server URL"),
        (["eval", "folder", "--server", "http://127.0.0.1:9/v1", "--model", "x"], "not both"),
        (["train", "--model", "folder"], "--export"),
    ],
)
def test_options_that_do_not_fit_are_refused(made: Workspace, capsys, arguments: list[str], told: str):
    assert main(arguments) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("content", [None, "text", "config"], ids=["nowhere", "a file", "no weights"])
def test_what_is_no_model_folder_is_refused_by_name(made: Workspace, tmp_path: Path, capsys, content: str | None):
    pytest.importorskip("torch")
    folder = tmp_path / "thing"
    if content == "text":
        folder.write_text("no model")
    if content == "config":
        folder.mkdir()
        (folder / "config.json").write_text("{}")
    assert main(["eval", str(folder)]) == 3
    told = capsys.readouterr().err
    assert f"{str(folder)!r} is no model folder" in told
    assert "Traceback" not in told


def test_a_loop_of_no_rounds_is_refused(made: Workspace, capsys):
    pytest.importorskip("torch")
    assert main(["loop", "--rounds", "0"]) == 2
    assert "give at least 1 with --rounds" in capsys.readouterr().err


def test_without_a_promoted_model_there_is_nothing_to_export(made: Workspace, capsys):
    pytest.importorskip("torch")
    assert main(["train", "--export", "out"]) == 3
    assert "the gate has promoted no model; train one with `castalia train`" in capsys.readouterr().err


def test_an_export_is_what_transformers_loads_and_says_how_close_it_is(made: Workspace, base: Path, tmp_path: Path, capsys):
    transformers = pytest.importorskip("transformers")
    assert main(["train", "--export", "out", "--model", str(base), "--json"]) == 0
    [told] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (told["model"], told["largest_difference"]) == (str(base), 0)
    assert transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out").config.model_type == "llama"
    assert main(["train", "--export", "out", "--model", str(base)]) == 3
    assert "exists already" in capsys.readouterr().err
    assert main(["train", "--export", "other", "--model", str(tmp_path / "nowhere")]) == 3
    assert not (tmp_path / "other").exists()
