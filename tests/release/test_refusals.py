"""What `castalia release` refuses, as a user meets it: exit code 8 or 4, the record, the rule and the next step; nothing is written."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from castalia.cli import main
from castalia.quality.labels import add_label
from castalia.records import Leak, Provenance, Record
from small_world import document, item, page, pair, passed, reward, sft, trace_example, world

FORBIDDEN = page(verdict="not-allowed", spdx="CC-BY-NC-4.0")
RECORDS: tuple[tuple[Record, str], ...] = ((sft(1), "sft"), (trace_example(), "sft"), (pair(), "preferences"), (reward(), "rewards"))
LEAK = Leak(record=pair().id, dataset="preferences", item=item("gate").id, bank="gate", method="13-gram", similarity=0.9)


def checked(**changes: Any) -> dict[str, Sequence[Record]]:
    """The small world without replay items, with one more verdict on its first example."""
    verdicts = [passed(record, name) for record, name in RECORDS]
    return {
        "sft": [sft(1), trace_example()],
        "replay": [],
        "verdicts": [*verdicts, *([passed(sft(1), "sft", **changes)] if changes else [])],
    }


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"sft": [sft(provenance=Provenance(parents=(FORBIDDEN.id,)))], "pages": [page(), FORBIDDEN]},
            (sft().id, "not-allowed", "castalia run --rebuild collect"),
        ),
        ({"leaks": [LEAK]}, (pair().id, "overlap with protected items", "castalia run --rebuild verify")),
        (
            checked(layer=4, check="execution", outcome="waiting", reason="needs the sandbox."),
            (sft(1).id, "layer 4 (execution) wait", "castalia run --rebuild verify"),
        ),
        ({"verdicts": [passed(record, name) for record, name in RECORDS[1:]]}, ("have no quality verdicts", "castalia run")),
        (
            {"sft": [sft(provenance=Provenance(parents=("doc_00000000000000000000",)))]},
            ("doc_00000000000000000000", sft().id, "rebuild the"),
        ),
        ({"sft": [sft(provenance=Provenance())]}, (sft().id, "comes from nowhere", "rebuild its stage")),
        (
            {"sft": [sft(provenance=Provenance(parents=(document().id,), calls=("f" * 64,)))]},
            (sft().id, "the ledger does not have", "use the ledger the records were made with"),
        ),
    ],
    ids=["licence", "contaminated", "layer that waits", "no verdicts", "lost parent", "no origin", "lost call"],
)
def test_what_must_not_be_released_is_refused_with_the_record_and_the_way_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: Mapping[str, Sequence[Record]], words: tuple[str, ...]
):
    made = world(tmp_path, changes=changes)
    assert main(["release", "-c", str(tmp_path / "castalia.yaml")]) == 8
    said = capsys.readouterr().err
    assert all(word in said for word in words), said
    assert not made.releases.exists()


@pytest.mark.parametrize("dataset", ["sft", "documents"])
def test_a_record_that_was_edited_in_the_store_is_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str], dataset: str):
    made = world(tmp_path)
    manifest = made.store.manifest(dataset)
    [shard] = [
        path
        for path in Path(made.store.root).rglob("*")
        if path.is_file() and manifest.shards[0].sha256 in path.as_posix().replace("/", "")
    ]
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.chmod(0o644)
    shard.write_bytes(bytes(content))
    assert main(["release", "-c", str(tmp_path / "castalia.yaml")]) == 4
    assert dataset in capsys.readouterr().err
    assert not made.releases.exists()


def failed(folder: Path) -> None:
    world(folder, changes=checked(layer=2, check="consistency", outcome="fail"))


def rejected(folder: Path) -> None:
    add_label(world(folder, changes=checked()).labels, sft(1).id, "ada", "reject")


@pytest.mark.parametrize("spoil", [failed, rejected])
def test_what_failed_or_people_rejected_is_left_out_and_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[Path], None]
):
    spoil(tmp_path)
    assert main(["release", "-c", str(tmp_path / "castalia.yaml")]) == 0
    assert "1 sft, 1 preferences, 1 rewards, 0 replay; 1 kept out" in capsys.readouterr().out


def test_a_share_that_its_one_part_can_not_meet_leaves_the_dataset_and_is_named_on_the_card(tmp_path: Path):
    world(tmp_path, mix={"quotas": [{"dataset": "rewards", "category": "knowledge", "at_most_share": 0.5}]})
    assert main(["release", "-c", str(tmp_path / "castalia.yaml")]) == 0
    [card] = tmp_path.glob("work/releases/*/README.md")
    assert "rewards: more than its share, as the records allow no less, knowledge: 1 of 1, where 50% may be" in card.read_text()


def test_a_quota_that_contradicts_another_stops_before_anything_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    world(tmp_path)
    world(tmp_path / "other")
    settings = '{"quotas": [{"category": "skills", "at_least": 5}, {"at_most": 4}]}'
    assert main(["release", "-c", str(tmp_path / "castalia.yaml"), "--set", f"mix={settings}"]) == 2
    said = capsys.readouterr().err
    assert "category skills: at_least 5" in said
    assert "all: at_most 4" in said
