"""What pages and models wrote reaches a terminal as text: nothing of it is obeyed, and machines get all of it."""

import json
import re
from pathlib import Path

import pytest

from castalia.cli import main
from castalia.cli.common import plain, print_table, to_json
from castalia.records import TaxonomyNode
from small_world import pair, passed, put, replay, settle, sft, trace_example, world

EVIL = "before\x1b]0;title\x07\x1b[2J\x9b2J\x7f\x00after"
NODE = f"knowledge/{EVIL}"
EXAMPLE = sft(1, EVIL, EVIL, node=NODE)
MENDED = replay(wrong=EVIL, node=NODE)
OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@pytest.fixture
def hostile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = passed(trace_example(), "sft", layer=4, check="execution", outcome="waiting", reason=EVIL)
    others = [passed(EXAMPLE, "sft"), passed(pair(), "preferences"), passed(MENDED, "replay")]
    made = world(
        tmp_path,
        domain=EVIL,
        changes={"sft": [EXAMPLE, trace_example()], "rewards": [], "replay": [MENDED], "verdicts": [waiting, *others]},
    )
    node = TaxonomyNode(key=NODE, category="knowledge", title=EVIL, description=EVIL, abilities=())
    put(made.store, "taxonomy", TaxonomyNode, [node])
    settle(made)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    "command",
    [
        ["show", "sft"],
        ["show", "replay", "--json"],
        ["show", "balance"],
        ["show", "acquisition"],
        ["show", "verdicts"],
        ["status"],
        ["status", "--json"],
        ["review", "--list"],
        ["trace", EXAMPLE.id],
        ["trace", MENDED.id, "--json"],
    ],
    ids=" ".join,
)
def test_no_command_prints_what_a_terminal_would_obey(hostile, capsys, command: list[str]):
    assert main(command) == 0
    shown = "".join(capsys.readouterr())
    assert "after" in shown
    assert not OBEYED.search(shown)


def test_an_error_that_repeats_foreign_words_is_text_too(hostile, capsys):
    assert main(["release"]) == 8
    told = capsys.readouterr().err
    assert "after" in told
    assert not OBEYED.search(told)


def test_machines_get_every_character(hostile, capsys):
    assert main(["show", "replay", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["wrong"] == EVIL


def test_json_is_readable_and_the_same_value():
    value = {"text": f"Grüße {EVIL}", "lines": ["one\ntwo\tthree\r"]}
    assert json.loads(to_json(value)) == value
    assert "Grüße" in to_json(value, indent=2)


def test_line_ends_stay_and_a_lone_return_does_not():
    assert plain("one\r\ntwo\n\tthree") == "one\ntwo\n\tthree"
    assert "\r" not in plain("good\rbad")


def test_a_cell_of_a_table_is_one_line(capsys):
    print_table(("name", "count"), [("a\nforged  row", 1), ("b", 2)])
    assert len(capsys.readouterr().out.splitlines()) == 3
