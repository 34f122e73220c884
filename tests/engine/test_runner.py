"""Running stages: identity, staleness, accounting, orderly stops, crashes."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from toy_stages import (
    Count,
    Meaning,
    NoParams,
    Shout,
    ShoutParams,
    ToyOracle,
    Word,
    WordParams,
    count,
    explain,
    origin,
    shout,
    toy_identity,
    toy_pipeline,
    words,
)  # fmt: skip

from castalia.engine import Event, RunReport, Stage, StageAdvanced, StageFinished, StageSkipped, StageStarted, compute, plan, run_pipeline
from castalia.engine.ask import run_ask
from castalia.engine.context import Context
from castalia.errors import AnswerUnusable, BudgetReached, ConfigError, CorruptObject, MissingRecording, StaleStage, StoreError
from castalia.records import Record, Reject
from castalia.store import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(tmp_path / "store")


def run(stages: Sequence[Stage], store: Store, oracle: ToyOracle | None = None, **settings: Any) -> RunReport:
    settings = {"params": {}, "role_identity": toy_identity, "workers": 0, **settings}
    return asyncio.run(run_pipeline(stages, store=store, oracle=oracle or ToyOracle(), **settings))  # type: ignore[arg-type]


def hashes(report: RunReport) -> dict[str, str]:
    return {dataset: sha256 for stage in report.stages for dataset, sha256 in stage.datasets.items()}


def test_a_second_run_does_nothing_and_says_so(tmp_path, store):
    stages, oracle = toy_pipeline(tmp_path), ToyOracle()
    first = run(stages, store, oracle)
    events: list[Event] = []
    second = run(stages, store, oracle, on_event=events.append)
    assert first.ran == ("words", "shout", "explain", "count")
    assert second.ran == ()
    assert hashes(second) == hashes(first)
    assert len(oracle.asked) == 4
    assert {type(event) for event in events} == {StageSkipped}
    assert store.verify() == []


def test_rejected_records_are_kept_apart_with_their_reason(tmp_path, store):
    report = run(toy_pipeline(tmp_path), store)
    shouted = report.stages[1]
    assert (shouted.inputs, shouted.kept, shouted.rejected) == (5, 4, 1)
    assert [reject.subject for reject in store.read_dataset("shout.rejects", Reject)] == ["damson"]


def test_every_output_leads_back_to_its_parents_and_calls(tmp_path, store):
    run(toy_pipeline(tmp_path), store)
    meaning = store.read_dataset("meanings", Meaning)[0]
    assert len(meaning.provenance.calls) == 1
    parent = store.find(meaning.provenance.parents[0])
    assert parent is not None
    assert parent.dataset == "shouts"
    inputs = {parent.dataset for parent in store.manifest("meanings").parents}
    assert inputs == {"shouts"}


def test_a_changed_param_stops_the_run_with_the_reason_and_the_way_on(tmp_path, store):
    stages = toy_pipeline(tmp_path)
    run(stages, store)
    with pytest.raises(StaleStage, match=r"""'shout' is stale: param 'mark' changed from "!" to "\?".*--rebuild shout.*--keep shout"""):
        run(stages, store, params={"shout": ShoutParams(mark="?")})


def test_a_changed_prompt_stops_the_run_with_the_price(tmp_path, store):
    run(toy_pipeline(tmp_path), store)
    with pytest.raises(StaleStage, match=r"explain.md changed; rebuilding asks about 4 calls for \$2\.00; --rebuild explain"):
        run(toy_pipeline(tmp_path, "Define {{ word }}."), store, price=lambda step: f"asks about {len(step.name) - 3} calls for $2.00")


def test_a_stage_that_asks_nobody_costs_nothing_and_is_not_priced(tmp_path, store):
    priced: list[str] = []
    run(toy_pipeline(tmp_path), store)
    with pytest.raises(StaleStage, match=r"'shout' is stale: .*; rebuilding asks no oracle; --rebuild shout"):
        run(toy_pipeline(tmp_path), store, params={"shout": ShoutParams(mark="?")}, price=lambda step: priced.append(step.name) or "asks")
    assert priced == []


def test_another_model_and_a_new_version_are_reasons_too(tmp_path, store):
    stages = toy_pipeline(tmp_path)
    run(stages, store)
    with pytest.raises(StaleStage, match='oracle role \'writer\' changed: model from "toy-1" to "toy-2"'):
        run(stages, store, role_identity=lambda role, prompts: {"provider": "toy", "model": "toy-2"})
    renewed = Stage("words", 2, words, WordParams, {}, {"words": Word}, "whole")
    with pytest.raises(StaleStage, match="the stage went from version 1 to 2"):
        run([renewed, *stages[1:]], store)


def test_workers_flight_and_services_are_no_part_of_identity(tmp_path, store):
    stages = toy_pipeline(tmp_path)
    run(stages, store)
    assert run(stages, store, workers=2, in_flight=1, services={"web": object()}, price=lambda step: "asks").ran == ()


def test_the_same_records_come_from_one_process_and_from_several(tmp_path):
    stages = toy_pipeline(tmp_path)
    alone = run(stages[:2], open_store(tmp_path / "alone"), workers=0)
    several = run(stages[:2], open_store(tmp_path / "several"), workers=2)
    assert hashes(several) == hashes(alone)


def test_a_map_stage_that_turns_out_slow_goes_on_in_several_processes_with_the_same_result(tmp_path, monkeypatch):
    many = {"words": WordParams(words=tuple(f"{number:05}" for number in range(100)))}
    stages = toy_pipeline(tmp_path)[:2]
    alone = run(stages, open_store(tmp_path / "alone"), params=many, workers=0)
    monkeypatch.setattr(compute, "PILOT_SECONDS", 0)
    monkeypatch.setattr(compute, "WORTH_SECONDS", 0)
    monkeypatch.setattr(compute.os, "cpu_count", lambda: 2)
    started: list[int] = []
    in_processes = compute._map_in_processes
    monkeypatch.setattr(compute, "_map_in_processes", lambda *arguments: started.append(arguments[2].num_rows) or in_processes(*arguments))
    events: list[Event] = []
    switched = run(stages, open_store(tmp_path / "switched"), params=many, workers=None, on_event=events.append)
    assert started == [99]
    assert hashes(switched) == hashes(alone)
    assert [event.done for event in events if isinstance(event, StageAdvanced)] == list(range(1, 101))


def test_rebuilding_covers_what_became_stale_downstream(tmp_path, store):
    stages = toy_pipeline(tmp_path)
    run(stages, store)
    report = run(stages, store, params={"shout": ShoutParams(mark="?")}, rebuild=["shout"])
    assert report.ran == ("shout", "explain", "count")


def test_what_lies_downstream_of_an_unnamed_rebuild_waits_for_a_decision(tmp_path, store):
    stages = toy_pipeline(tmp_path)
    run(stages, store)
    changed = {"shout": ShoutParams(mark="?")}
    run(stages, store, params=changed, rebuild=["shout"], until="shout")
    with pytest.raises(StaleStage, match="'explain' is stale: input 'shouts' changed"):
        run(stages, store, params=changed)
    assert run(stages, store, params=changed, rebuild=["explain"]).ran == ("explain", "count")


def test_a_rebuild_that_gives_the_same_records_leaves_everything_downstream_fresh(tmp_path, store):
    stages, oracle = toy_pipeline(tmp_path), ToyOracle()
    run(stages, store, oracle)
    report = run(stages, store, oracle, params={"shout": ShoutParams(longest=5, mark="!")}, rebuild=["shout"])
    assert report.ran == ("shout",)
    renewed = Stage("shout", 2, shout, ShoutParams, {"words": Word}, {"shouts": Shout}, "map")
    report = run([stages[0], renewed, *stages[2:]], store, oracle, rebuild=["shout"])
    assert report.ran == ("shout",)
    assert len(oracle.asked) == 4


def test_keeping_a_stale_stage_is_recorded_and_holds_for_later_runs(tmp_path, store):
    stages = toy_pipeline(tmp_path)
    before = run(stages, store)
    changed = {"shout": ShoutParams(mark="?")}
    kept = run(stages, store, params=changed, keep=["shout"])
    assert kept.stages[1].action == "kept"
    assert kept.ran == ()
    assert 'param \'mark\' changed from "!" to "?"' in store.manifest("shouts").waivers[0].reason
    assert store.manifest("shouts").content == store.manifest(hashes(before)["shouts"]).content
    assert run(stages, store, params=changed).ran == ()
    with pytest.raises(StaleStage, match='from "\\?" to "#"'):
        run(stages, store, params={"shout": ShoutParams(mark="#")})


def test_only_and_until_choose_stages_and_unknown_names_get_a_suggestion(tmp_path, store):
    stages = toy_pipeline(tmp_path)
    assert run(stages, store, until="shout").ran == ("words", "shout")
    assert run(stages, store, only=["explain"]).ran == ("explain",)
    with pytest.raises(ConfigError, match="rebuild names 'shuot', which is no stage; did you mean 'shout'"):
        run(stages, store, rebuild=["shuot"])
    with pytest.raises(ConfigError, match="named both to rebuild and to keep"):
        run(stages, store, rebuild=["all"], keep=["shout"])
    with pytest.raises(ConfigError, match="'explain' reads 'shouts', which nothing before it writes"):
        run(stages, open_store(tmp_path / "empty"), only=["explain"])


def test_a_map_stage_that_loses_a_record_is_stopped(tmp_path, store):
    def forgetful(record: Word, params: NoParams) -> Iterator[Record]:
        if record.text != "elm":
            yield Shout(text=record.text, subject=record.text, provenance=origin(record))

    stages = [toy_pipeline(tmp_path)[0], Stage("forget", 1, forgetful, NoParams, {"words": Word}, {"shouts": Shout}, "map")]
    lost = Word(text="elm").id
    for workers in (0, 2):
        with pytest.raises(ConfigError, match=f"'forget' lost record '{lost}'.*kept . rejected"):
            run(stages, store, workers=workers)
    assert not store.has("shouts")


def test_an_error_in_a_worker_process_keeps_its_type_and_names_the_record(tmp_path, store):
    def broken(record: Word, params: NoParams) -> Iterator[Record]:
        yield Shout(text=str(1 // (len(record.text) - 3)), subject="", provenance=origin(record))

    stages = [toy_pipeline(tmp_path)[0], Stage("break", 1, broken, NoParams, {"words": Word}, {"shouts": Shout}, "map")]
    for workers in (0, 1):
        with pytest.raises(ZeroDivisionError) as caught:
            run(stages, store, workers=workers)
        assert any("stage 'break', record 'word_" in note for note in caught.value.__notes__)


def test_a_killed_worker_process_is_an_error_that_says_what_to_try(tmp_path, store):
    def dies(record: Word, params: NoParams) -> Iterator[Record]:
        yield Shout(text=str(os.kill(os.getpid(), signal.SIGKILL)), subject="")

    stages = [toy_pipeline(tmp_path)[0], Stage("die", 1, dies, NoParams, {"words": Word}, {"shouts": Shout}, "map")]
    with pytest.raises(Exception, match=r"'die': a worker process ended without an answer.*--set execution.workers=0"):
        run(stages, store, workers=1)
    assert not store.has("shouts")


def test_all_missing_recordings_of_a_stage_are_named_together(tmp_path, store):
    oracle = ToyOracle(absent=["elm", "ash"])
    with pytest.raises(MissingRecording, match=r"(?s)^stage 'explain': 2 recorded answers are missing:.*'ash'.*'elm'\nRecord them$"):
        run(toy_pipeline(tmp_path), store, oracle)
    assert sorted(oracle.finished) == ["beech", "cedar"]
    assert not store.has("meanings")


def test_an_unusable_answer_rejects_its_record_only(tmp_path, store):
    unusable = AnswerUnusable("three repairs failed")
    unusable.calls = ("paid",)
    oracle = ToyOracle(failure=lambda subject: unusable if subject == "elm" else None)
    report = run(toy_pipeline(tmp_path), store, oracle)
    assert (report.stages[2].kept, report.stages[2].rejected) == (3, 1)
    reject = store.read_dataset("explain.rejects", Reject)[0]
    assert (reject.subject, reject.reason, reject.detail) == ("elm", "answer-unusable", "three repairs failed")
    assert reject.provenance.calls == ("paid",)
    assert reject.provenance.parents == tuple(record.id for record in store.read_dataset("shouts", Shout) if record.subject == "elm")


def test_a_reached_budget_lets_calls_in_flight_end_and_starts_no_more(tmp_path, store):
    many = WordParams(words=tuple(f"w{number:03}" for number in range(40)))
    seen: list[str] = []

    def fourth(subject: str) -> Exception | None:
        seen.append(subject)
        return BudgetReached("0.40 of 0.40 USD are spent") if len(seen) == 4 else None

    oracle = ToyOracle(delay=0.02, failure=fourth)
    with pytest.raises(BudgetReached, match=r"stage 'explain': 0\.40 of 0\.40 USD are spent"):
        run(toy_pipeline(tmp_path), store, oracle, params={"words": many}, in_flight=8)
    assert len(oracle.asked) == 8
    assert len(oracle.finished) == 7
    assert not store.has("meanings")


def test_no_more_records_are_in_flight_than_allowed(tmp_path, store):
    flying, most = 0, 0

    async def watched(record: Shout, params: NoParams, ctx: Context) -> AsyncIterator[Record]:
        nonlocal flying, most
        flying += 1
        most = max(most, flying)
        await asyncio.sleep(0.005)
        flying -= 1
        yield Meaning(text=record.text, provenance=origin(record))

    many = WordParams(words=tuple(f"w{number:03}" for number in range(30)))
    stages = [*toy_pipeline(tmp_path)[:2], Stage("watch", 1, watched, NoParams, {"shouts": Shout}, {"meanings": Meaning}, "ask")]
    run(stages, store, params={"words": many}, in_flight=5)
    assert most == 5


def test_what_a_record_became_is_handed_on_before_the_last_one_is_asked_about():
    handed: list[Record] = []
    waiting: list[int] = []

    async def watched(record: Word, params: NoParams, ctx: Context) -> AsyncIterator[Record]:
        waiting.append(int(record.text) - len(handed))
        yield Meaning(text=record.text, provenance=origin(record))

    stage = Stage("watch", 1, watched, NoParams, {"words": Word}, {"meanings": Meaning}, "ask")
    records = [Word(text=str(number)) for number in range(20)]
    asyncio.run(
        run_ask(stage, NoParams(), Context("watch", (), {}, None), records, add=handed.append, in_flight=1, advanced=lambda _: None)
    )
    assert waiting == [0] * 20
    assert len(handed) == 20


def test_a_record_without_origin_is_refused_in_a_stage_with_inputs(tmp_path, store):
    def orphan(record: Word, params: NoParams) -> Iterator[Record]:
        yield Shout(text=record.text, subject=record.text)

    stages = [toy_pipeline(tmp_path)[0], Stage("orphan", 1, orphan, NoParams, {"words": Word}, {"shouts": Shout}, "map")]
    with pytest.raises(ConfigError, match=r"'orphan' yielded 'shout_.*' without provenance"):
        run(stages, store)


def test_a_record_of_an_undeclared_type_is_refused(tmp_path, store):
    def stray(record: Word, params: NoParams) -> Iterator[Record]:
        yield Count(number=1, provenance=origin(record))

    stages = [toy_pipeline(tmp_path)[0], Stage("stray", 1, stray, NoParams, {"words": Word}, {"shouts": Shout}, "map")]
    with pytest.raises(ConfigError, match=r"'stray' yielded .*Count.* it may yield Shout and Reject"):
        run(stages, store)


def test_an_absent_optional_dataset_is_empty_and_its_arrival_makes_the_stage_stale(tmp_path, store):
    def tally(inputs: Mapping[str, Sequence[Record]], params: NoParams, ctx: Context) -> Iterator[Record]:
        yield Count(number=len(inputs["failures"]), provenance=origin(*inputs["words"]))

    optional = Stage(
        "tally", 1, tally, NoParams, {"words": Word, "failures": Meaning}, {"counts": Count}, "whole", optional=frozenset({"failures"})
    )
    stages = [toy_pipeline(tmp_path)[0], optional]
    run(stages, store)
    assert store.read_dataset("counts", Count)[0].number == 0
    store.write_dataset("failures", Meaning, [Meaning(text="wrong")], fingerprint="f")
    with pytest.raises(StaleStage, match="input 'failures' is new"):
        run(stages, store)
    run(stages, store, rebuild=["tally"])
    assert store.read_dataset("counts", Count)[0].number == 1


def test_events_are_enough_for_a_progress_bar(tmp_path, store):
    events: list[Event] = []
    run(toy_pipeline(tmp_path), store, on_event=events.append, until="shout")
    assert [event for event in events if event.stage == "shout"][:2] == [StageStarted("shout", 5), StageAdvanced("shout", 1, 5)]
    last = events[-1]
    assert isinstance(last, StageFinished)
    assert (last.kept, last.rejected) == (4, 1)


def test_stages_that_do_not_fit_together_are_refused_before_anything_runs(tmp_path, store):
    first, second, third, _ = toy_pipeline(tmp_path)
    wrong_type = Stage("explain", 1, explain, NoParams, {"shouts": Word}, {"meanings": Meaning}, "ask")
    for stages, message in [
        ([first, first], "two stages are named 'words'"),
        ([second, first], "'shout' reads 'words' before it is written"),
        ([first, second, wrong_type], "'explain' reads 'shouts' as Word, but 'shout' writes Shout"),
        ([first, Stage("more", 1, words, WordParams, {}, {"words": Word}, "whole")], "'words' is written by 'words' and by 'more'"),
    ]:
        with pytest.raises(ConfigError, match=message):
            run(stages, store)
    with pytest.raises(ConfigError, match="no oracle was given"):
        asyncio.run(run_pipeline([first, second, third], store=store, params={}, role_identity=toy_identity))
    assert store.names() == []


def test_a_plan_says_what_would_run_why_and_for_how_much(tmp_path, store):
    stages = toy_pipeline(tmp_path)
    empty = plan(stages, {}, store, role_identity=toy_identity)
    assert [step.state for step in empty] == ["missing", "blocked", "blocked", "blocked"]
    run(stages, store)
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*")}
    assert {step.state for step in plan(stages, {}, store, role_identity=toy_identity)} == {"fresh"}
    changed = plan(toy_pipeline(tmp_path, "Define {{ word }}."), {}, store, role_identity=toy_identity)
    assert [(step.name, step.state) for step in changed[2:]] == [("explain", "stale"), ("count", "blocked")]
    assert changed[2].reason == "explain.md changed"
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "store").rglob("*")} == files


def test_a_param_that_json_cannot_hold_is_refused_before_anything_runs(tmp_path, store):
    class Odd(NoParams):
        path: Path = Path()

    odd = Stage("words", 1, words, Odd, {}, {"words": Word}, "whole")
    with pytest.raises(ConfigError, match=r"'words' has params .* can't be part of its identity"):
        run([odd], store)


@pytest.mark.parametrize("part", ["shard", "manifest", "ref"])
def test_rebuilding_a_stage_cures_its_damaged_output(tmp_path, store, part: str):
    stages = toy_pipeline(tmp_path)
    before = run(stages, store)
    manifest = store.manifest("shouts")
    sha256 = {"shard": manifest.shards[0].sha256, "manifest": manifest.hash}.get(part, "")
    path = tmp_path / "store" / (f"objects/{sha256[:2]}/{sha256}" if sha256 else "refs/shouts.json")
    path.write_bytes(b"damaged")
    with pytest.raises((CorruptObject, StaleStage), match="rebuild the stage that writes it"):
        run(stages, open_store(tmp_path / "store"), rebuild=["explain"])
    after = run(stages, open_store(tmp_path / "store"), rebuild=["shout"])
    assert hashes(after) == hashes(before)
    assert open_store(tmp_path / "store").verify() == []


def test_a_plan_says_which_damaged_output_to_rebuild(tmp_path, store):
    stages = toy_pipeline(tmp_path)
    run(stages, store)
    (tmp_path / "store" / "refs" / "shouts.json").write_text("half a na")
    planned = plan(stages, {}, store, role_identity=toy_identity)
    assert [step.state for step in planned] == ["fresh", "stale", "blocked", "blocked"]
    assert "rebuild the stage that writes it" in planned[1].reason


def test_a_publication_that_was_interrupted_is_finished_without_asking(tmp_path, store):
    stages = toy_pipeline(tmp_path)
    run(stages, store)
    before = {name: store.ref(name) for name in store.names()}
    run(stages, store, params={"shout": ShoutParams(mark="?")}, rebuild=["shout"], until="shout")
    old = before["shouts"]
    (tmp_path / "store/refs/shouts.json").write_text(f'{{"manifest":"{old}","at":"then"}}')
    assert (
        plan(stages, {"shout": ShoutParams(mark="?")}, store, role_identity=toy_identity)[1].reason
        == "its last publication was interrupted"
    )
    assert run(stages, store, params={"shout": ShoutParams(mark="?")}, until="shout").ran == ("shout",)


CRASHING = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from toy_stages import ToyOracle, WordParams, toy_identity, toy_pipeline
from castalia.engine import run_pipeline
from castalia.store import open_store

class Answering(ToyOracle):
    async def ask(self, *arguments, **named):
        reply = await super().ask(*arguments, **named)
        print("answered", flush=True)
        return reply

folder = Path(sys.argv[2])
many = WordParams(words=tuple(f"w{number:03}" for number in range(60)))
asyncio.run(run_pipeline(toy_pipeline(folder), store=open_store(folder / "store"), params={"words": many}, oracle=Answering(delay=0.05),
                         role_identity=toy_identity, workers=0, in_flight=4))
"""


def test_a_run_killed_in_the_middle_of_a_stage_and_started_again_ends_with_the_same_datasets(tmp_path):
    many = WordParams(words=tuple(f"w{number:03}" for number in range(60)))
    folder = tmp_path / "killed"
    folder.mkdir()
    child = subprocess.Popen([sys.executable, "-c", CRASHING, str(Path(__file__).parent), str(folder)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    for _ in range(10):
        assert child.stdout.readline() == "answered\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    store = open_store(folder / "store")
    assert store.has("shouts")
    assert not store.has("meanings")
    again = run(toy_pipeline(folder), store, params={"words": many})
    undisturbed = run(toy_pipeline(tmp_path), open_store(tmp_path / "store"), params={"words": many})
    assert hashes(again) == hashes(undisturbed)
    assert again.ran == ("explain", "count")
    assert store.verify() == []


def test_a_second_run_on_one_store_says_who_holds_it(tmp_path, store):
    async def both() -> None:
        started = time.monotonic()
        slow = asyncio.create_task(
            run_pipeline(toy_pipeline(tmp_path), store=store, params={}, oracle=ToyOracle(delay=0.3), role_identity=toy_identity, workers=0)  # type: ignore[arg-type]
        )
        while not store.has("shouts"):
            assert time.monotonic() - started < 10
            await asyncio.sleep(0.01)
        with pytest.raises(StoreError, match=f"in use by process {os.getpid()} .*castalia run"):
            await run_pipeline(toy_pipeline(tmp_path), store=store, params={}, oracle=ToyOracle(), role_identity=toy_identity)  # type: ignore[arg-type]
        await slow

    asyncio.run(both())
    assert run(toy_pipeline(tmp_path), store).ran == ()


def test_a_declaration_with_a_field_that_has_no_column_type_is_refused():
    class Loose(Word):
        anything: dict[str, str]

    with pytest.raises(ConfigError, match=r"stage 'words' is declared wrongly: .*Loose\.anything"):
        Stage("words", 1, words, WordParams, {}, {"words": Loose}, "whole")
    with pytest.raises(ConfigError, match="rejects have their own dataset"):
        Stage("count", 1, count, NoParams, {"meanings": Meaning}, {"bad": Reject}, "whole")
