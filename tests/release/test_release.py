"""Releases: what they refuse, what they hold, and that nothing half-made or edited passes for one."""

import errno
import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from castalia.cli import main
from castalia.config import load_config
from castalia.engine import stage_state
from castalia.errors import ConfigError, InputError, ReleaseRefused, StorageFull, StoreError
from castalia.harmony import Style, gpt_oss_vocabulary, parse_completion, render_prompt, render_samples
from castalia.quality.labels import add_label
from castalia.rebuild import labels_then
from castalia.records import Label, Leak, Provenance, Query, ReplayItem, TaxonomyNode
from castalia.release import all_releases, compare_releases, find_release, publish, released_versions, verify_release
from castalia.release.columns import COLUMNS
from castalia.release.export import export_release
from castalia.rounds.measure import store_failures
from castalia.sandbox import runtime_identity
from castalia.workspace import Workspace, make_release, open_workspace, role_identity, save_resolved
from small_world import SITE, configuration, document, item, page, pair, passed, put, reward, settle, sft, trace_example, world

NOWHERE = Provenance(parents=("doc_00000000000000000000",))
UNPAID = Provenance(parents=(document().id,), calls=("f" * 64,))
FORBIDDEN = page(verdict="not-allowed", spdx="CC-BY-NC-4.0")


@pytest.fixture
def made(tmp_path: Path) -> Workspace:
    return world(tmp_path)


def refusal(folder: Path, changes: dict) -> str:
    workspace = world(folder, changes=changes)
    with pytest.raises(ReleaseRefused) as caught:
        make_release(workspace)
    assert not workspace.releases.exists()
    return str(caught.value)


# What it refuses


def test_records_without_verdicts_are_refused(tmp_path):
    message = refusal(tmp_path, {"verdicts": [passed(sft(), "sft")]})
    assert "have no quality verdicts" in message


def test_a_layer_that_waits_holds_the_release_back(tmp_path):
    records = [(sft(1), "sft"), (trace_example(), "sft"), (pair(), "preferences"), (reward(), "rewards")]
    verdicts = [passed(record, name) for record, name in records]
    waiting = passed(sft(1), "sft", layer=4, check="execution", outcome="waiting", reason="needs the sandbox.")
    message = refusal(tmp_path, {"sft": [sft(1), trace_example()], "replay": [], "verdicts": [*verdicts, waiting]})
    assert "layer 4 (execution) wait" in message
    assert "castalia run --rebuild verify" in message


def test_provenance_that_leads_nowhere_is_refused(tmp_path):
    assert NOWHERE.parents[0] in refusal(tmp_path, {"sft": [sft(provenance=NOWHERE)]})


def test_a_record_made_from_nothing_is_refused(tmp_path):
    assert "comes from nowhere" in refusal(tmp_path, {"sft": [sft(provenance=Provenance())]})


def test_an_oracle_answer_that_the_ledger_lost_is_refused(tmp_path):
    message = refusal(tmp_path, {"sft": [sft(provenance=UNPAID)]})
    assert "'ffff" in message
    assert "the ledger does not have" in message


def test_a_page_outside_the_licence_policy_is_refused(tmp_path):
    example = sft(provenance=Provenance(parents=(FORBIDDEN.id,)))
    assert "not-allowed" in refusal(tmp_path, {"pages": [page(), FORBIDDEN], "sft": [example]})


def test_a_leak_found_after_the_verdicts_were_given_is_refused(tmp_path):
    leak = Leak(record=pair().id, dataset="preferences", item=item("gate").id, bank="gate", method="13-gram", similarity=0.9)
    assert "overlap with protected items" in refusal(tmp_path, {"leaks": [leak]})


def test_nothing_accepted_is_no_release(tmp_path):
    assert "no record passed" in refusal(tmp_path, {"sft": [], "preferences": [], "rewards": [], "replay": []})


@pytest.mark.parametrize("name", ["../outside", "a/b", "", "Über", ".hidden", "tea@v9"])
def test_a_name_that_is_no_folder_name_is_refused(made, name: str):
    with pytest.raises(ConfigError, match="isn't usable"):
        publish(made.store, made.releases, name, stages=(), params={}, role_identity=None, known_calls=set)


def changed(folder: Path, **settings: Any) -> Workspace:
    """The same store under another configuration."""
    return open_workspace(load_config([configuration(folder, **settings)]))


def test_a_stage_whose_settings_changed_since_is_refused_with_the_way_on(made, tmp_path):
    with pytest.raises(ReleaseRefused) as caught:
        make_release(changed(tmp_path, stages={"extract": {"max_atoms": 3}}))
    message = str(caught.value)
    assert message.startswith("stage 'extract' is stale: param 'max_atoms' changed from ")
    assert "castalia run --rebuild extract" in message
    assert "castalia run --keep extract" in message
    assert not made.releases.exists()


def test_records_that_changed_after_their_verdicts_are_refused(made):
    made.store.write_dataset("replay", ReplayItem, [], fingerprint=made.store.manifest("replay").fingerprint)
    with pytest.raises(ReleaseRefused, match="stage 'decontaminate' is stale: input 'replay' changed"):
        make_release(made)


def test_what_was_never_finished_is_refused(made):
    (Path(made.store.root) / "refs" / "leaks.json").unlink()
    (Path(made.store.root) / "refs" / "decontaminate.rejects.json").unlink()
    with pytest.raises(ReleaseRefused, match=r"stage 'decontaminate' is missing: it has not run yet.*`castalia run`"):
        make_release(made)


def test_another_run_on_the_store_keeps_a_release_waiting(made):
    with made.store.lock("castalia run"), pytest.raises(StoreError, match="in use by process"):
        make_release(made)


# What it holds


def keep(workspace: Workspace, stage: str) -> None:
    """What `castalia run --keep` does to a stale stage."""
    declared = next(one for one in workspace.stages if one.name == stage)
    found = stage_state(declared, workspace.params[stage], workspace.store, role_identity(workspace))
    workspace.store.put_json(found.parts)
    for dataset in declared.outputs:
        workspace.store.waive(dataset, found.fingerprint, found.reason)


def test_it_says_what_the_data_were_made_with_and_what_a_waiver_kept(made, tmp_path):
    before = json.loads((make_release(made).folder / "config.json").read_text())
    now = changed(tmp_path, stages={"extract": {"max_atoms": 3}})
    keep(now, "extract")
    release = make_release(now)
    config = json.loads((release.folder / "config.json").read_text())
    assert release.name == "tea@v2"
    assert before["kept"] == []
    assert config["stages"] == before["stages"]
    assert config["stages"]["extract"]["params"]["max_atoms"] != 3
    [kept] = config["kept"]
    assert kept["stage"] == "extract"
    assert "to 3" in kept["although"][0]
    assert "* `extract`: param 'max_atoms' changed from" in (release.folder / "README.md").read_text()


def test_settings_that_made_no_data_do_not_make_another_release(made, tmp_path):
    make_release(made)
    again = make_release(changed(tmp_path, evaluation={"seed": 5}, execution={"store": "work", "concurrency": 2}))
    assert (again.name, again.new) == ("tea@v1", False)


def test_it_names_the_failures_that_were_corrected(tmp_path):
    workspace = world(tmp_path)
    store_failures(workspace, [], "round 1", source="loop")
    settle(workspace)
    config = json.loads((make_release(workspace).folder / "config.json").read_text())
    assert config["inputs"]["failures"]["made_by"]["failures"] == {"source": "loop", "target": "round 1"}


def test_what_was_searched_for_is_released_too(tmp_path):
    node = TaxonomyNode(category="knowledge", key="knowledge/tea", title="Tea", description="What tea needs.", abilities=("steep",))
    query = Query(text="how to steep tea", category="knowledge", node="knowledge/tea", wanted="tutorial")
    workspace = world(tmp_path)
    put(workspace.store, "taxonomy", TaxonomyNode, [node])
    put(workspace.store, "queries", Query, [query])
    settle(workspace)
    folder = make_release(workspace).folder
    assert "how to steep tea" in (folder / "ACQUISITION.md").read_text()
    assert json.loads((folder / "acquisition.json").read_text())["coverage"] == {"knowledge/tea": {"lesson": {"medium": 1}}}


def test_only_what_passed_is_released_and_the_card_says_why_the_rest_is_not(tmp_path):
    records = [(sft(1), "sft"), (pair(), "preferences"), (reward(), "rewards")]
    verdicts = [passed(record, name) for record, name in records]
    verdicts[1] = passed(pair(), "preferences", layer=2, check="consistency", outcome="fail")
    verdicts.append(passed(reward(), "rewards", layer=3, check="facts", outcome="flag"))
    release = make_release(world(tmp_path, changes={"sft": [sft(1)], "replay": [], "verdicts": verdicts}))
    assert release.records == {"sft": 1, "preferences": 0, "rewards": 1, "replay": 0}
    assert release.kept_out == 1
    assert "| preferences | 2 | consistency | fail | 1 |" in (release.folder / "README.md").read_text()


def test_the_card_says_how_to_train_on_files_that_the_export_it_names_has(made, tmp_path):
    folder = make_release(made).folder
    said = (folder / "README.md").read_text().partition("## Training\n")[2].partition("\n## ")[0]
    named = set(re.findall(r"`([\w/]+\.(?:jsonl|parquet))`", said))
    assert named == {"sft.jsonl", "replay.jsonl", "tokens/sft.parquet", "preferences.jsonl", "rewards.jsonl"}
    [command] = re.findall(r"`castalia (export [^`]+)`", said)
    out = tmp_path / "out"
    assert main([*command.replace("exported", str(out)).split(), "-c", str(tmp_path / "castalia.yaml")]) == 0
    assert all((out / name).is_file() for name in named)


def test_the_same_world_gives_the_same_bytes_on_every_machine(tmp_path):
    harness = "def run(candidate, value):\n    return value\n"
    releases, runner = [], ""
    for name in ("one", "two/deeper"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        (folder / "run.py").write_text(harness)
        (folder / "recipe.yaml").write_text("steps: 1\n")
        runners = {"sandbox": {"runners": {"tea": {"harness": "run.py"}}}, "training": "recipe.yaml"}
        made = world(folder, **runners)
        runner = next(line for line in runtime_identity(made.config.sandbox.runners, ()) if line.startswith("runner tea sha256 "))
        releases.append(make_release(made).folder)
    files = [{path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.*")} for folder in releases]
    assert files[0] == files[1]
    assert str(tmp_path).encode() not in b"".join(files[0].values())
    assert runner in files[0]["config.json"].decode()


def test_releasing_again_makes_no_new_version(made):
    first, second = make_release(made), make_release(made)
    assert (first.name, first.new, second.name, second.new) == ("tea@v1", True, "tea@v1", False)


def test_other_records_make_the_next_version_and_leave_the_first_alone(made):
    first = make_release(made)
    before = (first.folder / "lock.json").read_bytes()
    put(made.store, "replay", ReplayItem, [])
    settle(made)
    second = make_release(made)
    assert (second.name, second.new) == ("tea@v2", True)
    assert (first.folder / "lock.json").read_bytes() == before
    assert [path.name for path in released_versions(made.releases, "tea")] == ["tea@v1", "tea@v2"]


def test_the_tenth_version_comes_after_the_ninth(tmp_path):
    for number in (10, 9, 2):
        (tmp_path / f"tea@v{number}").mkdir()
    (tmp_path / "teapot@v3").mkdir()
    (tmp_path / ".tea@v11.unfinished").mkdir()
    assert [path.name for path in released_versions(tmp_path, "tea")] == ["tea@v2", "tea@v9", "tea@v10"]
    assert [path.name for path in all_releases(tmp_path)] == ["tea@v10", "tea@v2", "tea@v9", "teapot@v3"]


def test_every_file_has_the_columns_that_trainers_read(made):
    folder = make_release(made).folder
    for name, columns in COLUMNS.items():
        table = pq.read_table(folder / f"{name}.parquet")
        assert table.schema == pa.schema(list(columns.items())), name
    rows = pq.read_table(folder / "data/sft.parquet").to_pylist()
    example = next(row for row in rows if row["id"] == sft().id)
    assert [(m["role"], m["channel"], m["content"]) for m in example["messages"]] == [
        ("user", None, "How long does green tea steep?"),
        ("assistant", "final", "Two minutes."),
    ]
    assert example["sources"] == [f"{SITE}brew.html"]


def test_an_empty_dataset_keeps_its_columns(tmp_path):
    folder = make_release(world(tmp_path, changes={"rewards": [], "replay": []})).folder
    table = pq.read_table(folder / "data/rewards.parquet")
    assert table.num_rows == 0
    assert table.schema == pa.schema(list(COLUMNS["data/rewards"].items()))


def test_parquet_and_json_lines_say_the_same(made):
    folder = make_release(made).folder
    for name in ("sft", "preferences", "rewards", "replay"):
        lines = [json.loads(line) for line in (folder / f"data/{name}.jsonl").read_text().splitlines()]
        assert pq.read_table(folder / f"data/{name}.parquet").to_pylist() == lines


def test_the_mask_covers_exactly_what_the_model_emits(made):
    folder = make_release(made).folder
    rows = {row["id"]: row for row in pq.read_table(folder / "tokens/sft.parquet").to_pylist()}
    vocabulary = gpt_oss_vocabulary()
    [sample] = render_samples(trace_example().conversation, vocabulary, Style())
    row = rows[trace_example().id]
    assert row["input_ids"] == sample.ids
    assert row["loss_mask"] == [int(trained) for trained in sample.mask]
    emitted = vocabulary.decode([token for token, trained in zip(row["input_ids"], row["loss_mask"], strict=True) if trained])
    assert emitted == (
        "<|channel|>analysis<|message|>I run it.<|end|><|start|>assistant<|channel|>commentary to=functions.run_python <|constrain|>json"
        '<|message|>{"code":"print(2)"}<|call|><|channel|>final<|message|>Two.<|return|>'
    )


def test_the_tokens_of_a_pair_are_a_prompt_and_two_complete_answers(made):
    folder = make_release(made).folder
    [row] = pq.read_table(folder / "tokens/preferences.parquet").to_pylist()
    vocabulary = gpt_oss_vocabulary()
    assert row["prompt_ids"] == render_prompt(pair().prompt, vocabulary, Style())
    assert parse_completion(row["chosen_ids"], vocabulary, finished=True).final == "Two minutes."
    assert parse_completion(row["rejected_ids"], vocabulary, finished=True).final == "An hour."


def test_provenance_names_pages_and_calls_of_every_record(made):
    folder = make_release(made).folder
    rows = {row["id"]: row for row in pq.read_table(folder / "provenance.parquet").to_pylist()}
    assert rows[sft().id]["pages"] == [page().id]
    assert len(rows[sft().id]["calls"][0]) == 64
    assert len(rows) == 5


def test_attribution_names_every_source_with_its_licence_and_notice(made):
    text = (make_release(made).folder / "ATTRIBUTION.md").read_text()
    assert f"## {SITE}brew.html" in text
    assert "Licence: MIT" in text
    assert "> (c) Tea people" in text


# Nothing half-made, nothing edited


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, StorageFull), (errno.EIO, StoreError)])
def test_a_disk_that_fails_in_the_middle_leaves_nothing_behind(made, monkeypatch, number: int, kind: type[Exception]):
    calls = []

    def failing(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 4:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(kind, match="nothing was left behind"):
        make_release(made)
    assert list(made.releases.iterdir()) == []
    monkeypatch.undo()
    assert make_release(made).new


def test_what_a_killed_process_left_is_no_release_and_in_nobodys_way(made):
    (made.releases / ".tea@v1.unfinished/data").mkdir(parents=True)
    release = make_release(made)
    assert (release.name, verify_release(release.folder)) == ("tea@v1", [])
    assert [path.name for path in made.releases.iterdir()] == ["tea@v1"]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "data/sft.jsonl").write_text("{}\n"), "data/sft.jsonl was changed after the release"),
        (lambda folder: (folder / "ATTRIBUTION.md").unlink(), "ATTRIBUTION.md is missing"),
        (lambda folder: (folder / "data/more.parquet").write_text("x"), "data/more.parquet was added after the release"),
        (lambda folder: (folder / "lock.json").unlink(), "lock.json can't be read"),
        (lambda folder: (folder / "lock.json").write_text("[]"), "lock.json was changed after the release"),
        (lambda folder: (folder / "lock.json").write_text('{"files": []}'), "lock.json was changed after the release"),
    ],
)
def test_an_edited_release_is_found_out_and_not_exported(made, tmp_path, spoil, said: str):
    folder = make_release(made).folder
    assert verify_release(folder) == []
    spoil(folder)
    assert any(said in problem for problem in verify_release(folder))
    with pytest.raises(ReleaseRefused, match="is not what was released"):
        export_release(made.releases, "tea@v1", "hub", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    with pytest.raises(ReleaseRefused, match="is not what was released"):
        compare_releases(folder, folder)
    again = make_release(made)
    assert (again.name, again.new, verify_release(again.folder)) == ("tea@v2", True, [])


def test_a_configuration_that_cannot_be_kept_stops_the_run_with_the_place_and_leaves_the_last_one(made, monkeypatch):
    save_resolved(made)
    kept = (made.folder / "config.json").read_text()
    assert json.loads(kept)["name"] == "tea"

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageFull, match=r"config\.json.*Free some space"):
        save_resolved(made)
    assert (made.folder / "config.json").read_text() == kept


# Layouts

PAPERS = ["ATTRIBUTION.md", "README.md", "balance.json", "croissant.json", "lock.json", "provenance.parquet"]


@pytest.mark.parametrize("layout", ["hub", "jsonl"])
def test_hub_and_json_lines_carry_the_data_and_its_papers(made, tmp_path, layout: str):
    make_release(made)
    written = export_release(made.releases, "tea", layout, tmp_path / "out")  # type: ignore[arg-type]
    ending = "parquet" if layout == "hub" else "jsonl"
    assert written == sorted([*PAPERS, *(f"data/{name}.{ending}" for name in ("sft", "preferences", "rewards", "replay"))])
    assert sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*")) == written


def test_the_layout_of_trl_has_its_columns(made, tmp_path):
    make_release(made)
    export_release(made.releases, "tea@v1", "trl", tmp_path / "out")
    rows = {
        name: [json.loads(line) for line in (tmp_path / f"out/{name}.jsonl").read_text().splitlines()] for name in ("sft", "preferences")
    }
    traced = max(rows["sft"], key=lambda row: len(row["messages"]))["messages"]
    call = {"name": "run_python", "arguments": {"code": "print(2)"}}
    assert traced[1] == {
        "role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": call}], "thinking": "I run it.",
    }  # fmt: skip
    assert traced[2] == {"role": "tool", "content": "2\n", "name": "run_python"}
    [compared] = rows["preferences"]
    assert compared["chosen"] == [{"role": "assistant", "content": "Two minutes."}]
    assert compared["prompt"][0]["role"] == "user"


def test_an_export_never_writes_over_anything(made, tmp_path):
    make_release(made)
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError, match="exists already"):
        export_release(made.releases, "tea", "hub", tmp_path / "out")


@pytest.mark.parametrize("name", ["coffee", "tea@v7", "../releases/tea@v1"])
def test_an_unknown_release_is_answered_with_those_there_are(made, tmp_path, name: str):
    make_release(made)
    with pytest.raises(InputError, match="releases: tea@v1"):
        export_release(made.releases, name, "hub", tmp_path / "out")


def test_a_release_needs_the_ledger_it_was_made_with(tmp_path):
    made = world(tmp_path)
    made.ledger.unlink()
    with pytest.raises((StoreError, ReleaseRefused)):
        make_release(open_workspace(load_config([tmp_path / "castalia.yaml"])))


def test_what_trl_trains_on_has_labels_tools_and_effort(made, tmp_path):
    make_release(made)
    export_release(made.releases, "tea@v1", "trl", tmp_path / "out")
    tokens, ours = (pq.read_table(folder / "tokens/sft.parquet").to_pylist() for folder in (tmp_path / "out", made.releases / "tea@v1"))
    assert [[label != -100 for label in row["labels"]] for row in tokens] == [[bool(bit) for bit in row["loss_mask"]] for row in ours]
    rows = [json.loads(line) for line in (tmp_path / "out/sft.jsonl").read_text().splitlines()]
    traced = max(rows, key=lambda row: len(row["messages"]))
    [tool] = json.loads(traced["tools"])
    assert tool == {
        "type": "function",
        "function": {"name": "run_python", "description": "Runs Python.", "parameters": tool["function"]["parameters"]},
    }
    assert traced["chat_template_kwargs"] == {"reasoning_effort": "medium"}


def test_prime_rl_gets_prompts_with_completions_and_answers_with_their_check(made, tmp_path):
    make_release(made)
    export_release(made.releases, "tea@v1", "prime-rl", tmp_path / "out")
    rows, tasks = ([json.loads(line) for line in (tmp_path / "out" / name).read_text().splitlines()] for name in ("sft.jsonl", "rl.jsonl"))
    assert len(rows) == 3
    assert all(row["prompt"][-1]["role"] == "user" and row["completion"][-1]["role"] == "assistant" for row in rows)
    [task] = tasks
    assert (task["answer"], task["task"]) == ("Two minutes.", "knowledge/tea")
    assert json.loads(json.loads(task["info"])["check"]) == {"kind": "contains", "expected": ["two|2"]}


@pytest.mark.parametrize(
    ("layout", "rows"),
    [
        ("hub", {"sft": 2, "preferences": 1, "rewards": 1, "replay": 1}),
        ("jsonl", {"sft": 2, "preferences": 1, "rewards": 1, "replay": 1}),
        ("trl", {"sft": 2, "preferences": 1, "rewards": 1, "replay": 1}),
        ("prime-rl", {"sft": 3, "rl": 1}),
    ],
)
def test_the_library_of_dataset_hubs_reads_every_set_of_every_layout_by_its_name(made, tmp_path, layout: Any, rows: dict, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    make_release(made)
    out = tmp_path / "out"
    export_release(made.releases, "tea", layout, out)
    assert datasets.get_dataset_config_names(str(out)) == list(rows)
    for name, count in rows.items():
        loaded = datasets.load_dataset(str(out), name, cache_dir=str(tmp_path / "cache"))["train"]
        assert len(loaded) == count
        if layout in ("hub", "jsonl") and name == "sft":
            assert {"domain", "difficulty", "style", "node"} <= set(loaded.features)
            [traced] = [row for row in loaded if row["kind"] == "agent-trace"]
            said = [(message["role"], message["channel"], message["recipient"]) for message in traced["messages"]]
            assert said == [(message.role, message.channel, message.recipient) for message in trace_example().conversation.messages]


@pytest.mark.parametrize("layout", ["hub", "jsonl", "trl", "prime-rl"])
def test_the_papers_of_an_export_name_the_files_that_are_there(made, tmp_path, layout: Any):
    release, out = make_release(made), tmp_path / "out"
    written = set(export_release(made.releases, "tea", layout, out))
    assert verify_release(out) == []
    said = json.loads((out / "croissant.json").read_text())
    assert {file["@id"] for file in said["distribution"]} == written - {"croissant.json", "lock.json"}
    assert [part["@id"] for part in said["recordSet"]] == [
        *(["data-sft", "data-preferences", "data-rewards", "data-replay"] if layout == "hub" else []), "provenance",
    ]  # fmt: skip
    lock = (release.folder / "lock.json").read_bytes()
    assert json.loads((out / "lock.json").read_text())["release"] == {"name": "tea@v1", "lock": hashlib.sha256(lock).hexdigest()}


def test_calls_and_tools_have_the_form_that_prime_rl_parses(made, tmp_path):
    make_release(made)
    export_release(made.releases, "tea", "prime-rl", tmp_path / "out")
    rows = [json.loads(line) for line in (tmp_path / "out/sft.jsonl").read_text().splitlines()]
    [call] = [call for row in rows for message in row["completion"] for call in message.get("tool_calls", ())]
    assert json.loads(call["function"]["arguments"]) == {"code": "print(2)"}
    assert sorted(len(json.loads(row["tools"])) for row in rows) == [0, 0, 1]
    assert all(row["chat_template_kwargs"] == {"reasoning_effort": "medium"} for row in rows)


def test_a_disk_that_fills_up_during_an_export_leaves_nothing_behind(made, tmp_path, monkeypatch):
    make_release(made)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageFull, match="nothing was left behind"):
        export_release(made.releases, "tea", "trl", tmp_path / "out")
    assert not list(tmp_path.glob("*out*"))


def test_croissant_metadata_names_every_file_with_its_hash_and_every_column(made):
    folder = make_release(made).folder
    said = json.loads((folder / "croissant.json").read_text())
    assert said["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    assert said["license"] == ["https://spdx.org/licenses/MIT"]
    hashes = {file["@id"]: file["sha256"] for file in said["distribution"]}
    assert all(hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest for name, digest in hashes.items())
    assert {f"data/{name}.parquet" for name in ("sft", "preferences", "rewards", "replay")} <= hashes.keys()
    columns = {part["@id"]: [field["@id"].rpartition("/")[2] for field in part["field"]] for part in said["recordSet"]}
    assert columns["data-sft"] == list(COLUMNS["data/sft"])
    [messages] = [field for part in said["recordSet"] for field in part["field"] if field["@id"] == "data-sft/messages"]
    assert messages["repeated"]
    assert {"role", "channel", "content"} <= {field["name"].rpartition("/")[2] for field in messages["subField"]}
    [answers] = [field for part in said["recordSet"] for field in part["field"] if field["@id"] == "data-rewards/answers"]
    accuracy = next(field for field in answers["subField"] if field["@id"] == "data-rewards/answers/rubric.accuracy")
    assert (accuracy["dataType"], accuracy["source"]["transform"]) == ("sc:Float", {"jsonPath": "rubric.accuracy"})


# Two versions


def test_a_difference_names_records_sources_settings_and_figures(made, tmp_path):
    before = make_release(made).folder
    make_release(world(tmp_path / "again", changes={"sft": [sft(1, answer="Two short minutes.")]}, stages={"extract": {"max_atoms": 3}}))
    found = compare_releases(before, tmp_path / "again" / "work" / "releases" / "tea@v1")
    [changed] = [change for change in found.records if change.dataset == "sft"]
    assert (changed.before, changed.after, len(changed.added), len(changed.removed)) == (2, 1, 1, 2)
    assert "stages.extract.params.max_atoms: 8 -> 3" in found.settings
    assert changed.changed == (f"{sft(1).subject}: messages",)
    assert any(line.startswith("sft.records: 2 -> 1") for line in found.figures)
    assert (found.sources_added, found.same) == ((), False)
    assert compare_releases(before, before).same


def test_the_labels_of_a_release_are_found_again_among_all_that_were_given(made):
    first = make_release(made).folder
    given = [add_label(made.labels, sft().id, who, label) for who, label in (("ada", "approve"), ("bob", "approve"), ("ada", "reject"))]
    second = make_release(made).folder
    add_label(made.labels, sft().id, "ada", "undone")
    add_label(made.labels, pair().id, "ada", "reject")
    assert labels_then(made, first) == ()
    assert {label.id for label in labels_then(made, second)} == {given[1].id, given[2].id}
    made.labels.write_text(made.labels.read_text().replace('"bob"', '"eve"'))
    with pytest.raises(InputError, match="lines were removed or changed"):
        labels_then(made, second)


def test_labels_are_found_again_among_thousands_without_writing_each_out_anew(made, monkeypatch):
    add_label(made.labels, sft().id, "ada", "approve")
    folder = make_release(made).folder
    [first] = made.labels.read_text().splitlines()
    made.labels.write_text("".join(first.replace('"ada"', f'"person {number}"') + "\n" for number in range(2000)))
    made.labels.write_text(f"{first}\n{made.labels.read_text()}")
    written: list[str] = []
    to_row = Label.to_row
    monkeypatch.setattr(Label, "to_row", lambda label: written.append(label.id) or to_row(label))
    assert [label.reviewer for label in labels_then(made, folder)] == ["ada"]
    assert len(written) == 2001


def test_a_release_that_does_not_exist_is_told_with_those_that_do(made):
    make_release(made)
    with pytest.raises(InputError, match="no release 'tea@v7'; releases: tea@v1"):
        find_release(made.releases, "tea@v7")


def test_the_reference_reader_of_croissant_reads_the_data(made):
    import mlcroissant

    folder = make_release(made).folder
    dataset = mlcroissant.Dataset(jsonld=folder / "croissant.json")
    assert not dataset.metadata.ctx.issues.errors
    rows = list(dataset.records("data-sft"))
    kept = pq.read_table(folder / "data/sft.parquet").to_pylist()
    assert [row["data-sft/id"].decode() for row in rows] == [row["id"] for row in kept]
    assert [len(row["data-sft/messages"]) for row in rows] == [len(row["messages"]) for row in kept]
