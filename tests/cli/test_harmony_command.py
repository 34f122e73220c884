"""`castalia harmony`: files of chat data checked and converted."""

import json
import os

import pytest

from castalia.cli import harmony, main
from castalia.harmony import gpt_oss_vocabulary, render_samples
from castalia.harmony.style import Style
from castalia.records import Conversation, Message

CALLED = Conversation(
    messages=(
        Message(role="user", content="q"),
        Message(role="assistant", content="{}", channel="commentary", recipient="functions.f", content_type="json"),
    )
)


def lines(*rows):
    return "".join(row if isinstance(row, str) else json.dumps(row) + "\n" for row in rows)


def asked(answer):
    return {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": answer}]}


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "data.jsonl"
    path.write_text(lines(asked("a"), "{broken\n", asked("<tool_call>{broken}</tool_call>"), asked("<think>t</think>b")), encoding="utf-8")
    return path


def test_lint_counts_unreadable_lines_apart(data, capsys):
    assert main(["harmony", "lint", str(data)]) == 3
    out = capsys.readouterr().out
    assert "2 conversations, 2 unreadable lines, 2 samples: 100.00 % of what the model emits is trained" in out
    assert main(["harmony", "lint", str(data), "--json"]) == 3
    report = json.loads(capsys.readouterr().out)
    assert (report["lines"], report["unreadable"], report["samples"], report["ok"]) == (4, 2, 2, False)


def test_lint_asks_for_a_dialect(tmp_path, capsys):
    (sample,) = render_samples(CALLED, gpt_oss_vocabulary(), Style(dialect="C"))
    path = tmp_path / "tokens.jsonl"
    path.write_text(lines({"input_ids": sample.ids, "labels": sample.labels()}), encoding="utf-8")
    assert main(["harmony", "lint", str(path), "--dialect", "A"]) == 0
    assert "mixed-dialects" in capsys.readouterr().out
    assert main(["harmony", "lint", str(path), "--dialect", "C"]) == 0
    assert "mixed-dialects" not in capsys.readouterr().out


def test_lint_limits_the_length(data):
    assert main(["harmony", "lint", str(data), "--max-tokens", "0"]) == 2
    assert main(["harmony", "lint", str(data), "--max-tokens", "9"]) == 3


def test_convert_writes_what_it_can_and_names_the_rest_by_line(data, tmp_path, capsys):
    out = tmp_path / "out.jsonl"
    assert main(["harmony", "convert", str(data), "--to", "trl", "--out", str(out), "--json"]) == 3
    printed = capsys.readouterr()
    assert json.loads(printed.out) == {"read": 4, "written": 2, "left_out": 2, "rejected_left_out": 0}
    assert [line.split(":")[0] for line in printed.err.splitlines()] == ["line 2", "line 3"]
    rows = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert rows[1]["messages"][1] == {"role": "assistant", "content": "b", "thinking": "t"}
    assert main(["harmony", "lint", str(out)]) == 0


def test_convert_writes_to_standard_output(data, capsys):
    assert main(["harmony", "convert", str(data), "--to", "text"]) == 3
    texts = [json.loads(line)["text"] for line in capsys.readouterr().out.splitlines()]
    assert [text.rsplit("<|message|>", 1)[1] for text in texts] == ["a<|return|>", "b<|return|>"]


def test_half_a_character_is_written_escaped(tmp_path):
    path, out = tmp_path / "data.jsonl", tmp_path / "out.jsonl"
    path.write_text(lines(asked("\ud800 é"), asked("é\u2028")), encoding="utf-8")
    assert main(["harmony", "convert", str(path), "--to", "trl", "--out", str(out)]) == 0
    written = out.read_bytes().split(b"\n")
    assert b"\\ud800" in written[0] and "é".encode() in written[1]


def test_convert_does_not_overwrite_what_it_reads(data, capsys):
    before = data.read_bytes()
    assert main(["harmony", "convert", str(data), "--to", "trl", "--out", str(data)]) == 2
    assert data.read_bytes() == before


def test_convert_says_how_many_rejected_answers_it_left_out(tmp_path, capsys):
    path = tmp_path / "pairs.jsonl"
    said = [[{"role": "user", "content": "q"}, {"role": "assistant", "content": text}] for text in ("good", "BAD")]
    path.write_text(lines({"chosen": said[0], "rejected": said[1]}), encoding="utf-8")
    assert main(["harmony", "convert", str(path), "--to", "openai"]) == 0
    printed = capsys.readouterr()
    assert "BAD" not in printed.out and "1 rejected answer left out, which only --to trl can mark" in printed.err


@pytest.mark.parametrize("broken", ["missing", "no table", "full"])
def test_convert_that_fails_leaves_what_was_there_before(broken, data, tmp_path, capsys, monkeypatch):
    out, source = tmp_path / "out.jsonl", tmp_path / "source"
    out.write_text("kept\n", encoding="utf-8")
    if broken == "no table":
        source.write_bytes(b"PAR1 and no more")
    elif broken == "full":
        source = data

        def full(row):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(harmony, "_line", full)
    assert main(["harmony", "convert", str(source), "--to", "trl", "--out", str(out)]) == (2 if broken == "full" else 3)
    assert out.read_text(encoding="utf-8") == "kept\n"
    assert sorted(path.name for path in tmp_path.iterdir() if path.name not in ("data.jsonl", "source")) == ["out.jsonl"]
    assert ("No space left on device" in capsys.readouterr().err) == (broken == "full")


def test_convert_replaces_the_file_behind_a_link_and_keeps_its_mode(data, tmp_path):
    real, link = tmp_path / "real.jsonl", tmp_path / "link.jsonl"
    real.write_text("old\n", encoding="utf-8")
    real.chmod(0o600)
    link.symlink_to(real)
    assert main(["harmony", "convert", str(data), "--to", "trl", "--out", str(link)]) == 3
    assert link.is_symlink() and real.stat().st_mode & 0o777 == 0o600 and real.read_text(encoding="utf-8").startswith('{"messages"')


def test_convert_writes_into_a_pipe(data, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    assert main(["harmony", "convert", str(data), "--to", "trl", "--out", str(pipe)]) == 3
    assert os.read(reader, 1 << 16).count(b"\n") == 2
    os.close(reader)


def test_an_output_that_cannot_be_written_is_named(data, tmp_path, capsys):
    for out in (tmp_path, tmp_path / "none" / "out.jsonl", tmp_path / ("x" * 300)):
        assert main(["harmony", "convert", str(data), "--to", "trl", "--out", str(out)]) == 2
        assert "can't be written" in capsys.readouterr().err


def test_a_folder_without_a_tokenizer_is_named(data, tmp_path, capsys):
    pytest.importorskip("transformers")
    assert main(["harmony", "lint", str(data), "--tokenizer", str(tmp_path / "none")]) == 2
    assert "holds no tokenizer" in capsys.readouterr().err
