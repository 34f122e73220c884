"""The loop over rounds, with a tiny model and data makers that stand for the oracle's stages."""

import asyncio
import functools
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("torch")
pytest.importorskip("trl")

from loop_world import examples, fake_round, recipe, tiny_world, write_recipe

import castalia.loop
import castalia.rounds.promotion
from castalia.config import load_config
from castalia.errors import ConfigError, StoreError
from castalia.evaluation.results import ItemResult
from castalia.loop import LoopEnd, LoopState, RoundCost, loop_state, practise, run_loop
from castalia.records import Failure, SFTExample, SuiteItem, Verdict
from castalia.rounds.record import all_rounds
from castalia.workspace import Workspace, open_workspace
from small_world import configuration, item, passed, put, world
from train_here import run_here

USELESS = recipe(epochs=1, learning_rate=1e-9)


class KilledError(RuntimeError):
    """Stands for a process that dies."""


class Oracle:
    """Money as the client and its ledger tell it: every making of data costs a dollar."""

    def __init__(self) -> None:
        self.spent = 10.0
        self.usd_left: float | None = None
        self.ledger = SimpleNamespace(money=lambda: SimpleNamespace(spent=self.spent, written_off=0.0))

    def stats(self) -> Any:
        return SimpleNamespace(usd_left=self.usd_left)


class Maker:
    """Stands for the stages: notes which failures it saw, and adds an example for each call that is told to."""

    def __init__(self, workspace: Workspace, oracle: Oracle) -> None:
        self.workspace, self.oracle = workspace, oracle
        self.calls: list[tuple[str | None, tuple[str, ...], int]] = []
        self.brings_new = True

    async def __call__(
        self, workspace: Workspace, services: Any, *, rebuild: tuple[str, ...] = (), until: str | None = None, on_event: Any = None
    ) -> None:
        store = workspace.store
        failures = len(store.read_dataset("failures", Failure)) if store.has("failures") else 0
        self.calls.append((until, rebuild, failures))
        if until is None:
            self.oracle.spent += 1
            if self.brings_new:
                made = [*store.read_dataset("sft", SFTExample), *examples(1, first=100 + len(self.calls))]
                put(store, "sft", SFTExample, made)
                put(store, "verdicts", Verdict, [passed(one, "sft") for one in made])


class Loop:
    """A workspace, its maker and its oracle, and the loop over them."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace, self.oracle = workspace, Oracle()
        self.maker = Maker(workspace, self.oracle)

    def run(self, rounds: int, on_event: Callable[[Any], None] = lambda event: None) -> LoopEnd:
        services: Any = SimpleNamespace(oracle=self.oracle, sandbox=None)
        return asyncio.run(run_loop(self.workspace, services, rounds=rounds, on_event=on_event))


def without_data(folder: Path) -> Workspace:
    write_recipe(folder, USELESS)
    return open_workspace(load_config([configuration(folder, training="recipe.yaml")]))


@pytest.fixture
def loop_of(tmp_path: Path, tiny_source: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any]], Loop]:
    def made(the_recipe: dict[str, Any]) -> Loop:
        loop = Loop(tiny_world(tmp_path, tiny_source, recipe=the_recipe))
        monkeypatch.setattr(castalia.loop, "make_datasets", loop.maker)
        monkeypatch.setattr(castalia.loop, "make_release", lambda workspace: None)
        monkeypatch.setattr(castalia.rounds.promotion, "train", functools.partial(castalia.rounds.promotion.train, run_stage=run_here))
        return loop

    return made


def test_failures_are_corrected_in_the_next_round_and_a_killed_loop_goes_on_with_its_round_and_knows_what_it_cost(loop_of, monkeypatch):
    loop = loop_of(USELESS)
    first = loop.run(1)
    assert first.stopped == "the limit of 1 rounds"
    assert loop.maker.calls == [("design_suite", (), 0), (None, ("build_replay",), 2)]

    def killed(*args: Any) -> Any:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(castalia.rounds.promotion, "judge", killed)
        with pytest.raises(KilledError):
            loop.run(2)
    assert loop.maker.calls[2:] == [(None, ("build_replay",), 2)]
    assert [one.decision is None for one in all_rounds(loop.workspace)] == [False, True]
    loop.maker.brings_new = False  # what it made before is still there
    first.outcomes[0].candidate.rename(first.outcomes[0].candidate.with_name("away"))  # what it answered is known, it is not asked again
    steps: list[Any] = []
    end = loop.run(2, lambda event: steps.append(event) if not event.note else None)
    assert steps == []
    assert [(outcome.decision.round, outcome.decision.look) for outcome in end.outcomes] == [(1, 1), (2, 2)]
    assert len(all_rounds(loop.workspace)) == 2
    assert {failure.target for failure in loop.workspace.store.read_dataset("failures", Failure)} == {"round 1 and before"}
    assert loop_state(loop.workspace).costs == (RoundCost(round=1, usd=1), RoundCost(round=2, usd=2))  # both attempts at round 2


@pytest.mark.parametrize(
    ("figures", "left", "reason"),
    [
        ([{"promote": True, "after": 0.9}], None, "cannot measure: the suite detects 30.0 points"),
        ([{}, {"error": 0.001, "difference": 0.001}], None, "diminishing returns: 2 rounds without promotion"),
        ([{}, {}], 0.5, "budget: $0.50 is left and a round costs about $1.00"),
    ],
    ids=["suite", "no gain", "budget"],
)
def test_a_loop_that_should_stop_says_why_makes_nothing_and_stays_stopped(tmp_path, monkeypatch, figures, left, reason):
    loop = Loop(without_data(tmp_path))
    monkeypatch.setattr(castalia.loop, "make_datasets", loop.maker)
    for number, changes in enumerate(figures, 1):
        fake_round(loop.workspace, number, **changes)
    costs = [{"round": number, "usd": 1.0} for number, _ in enumerate(figures, 1)]
    (loop.workspace.training / "loop.json").write_text(json.dumps({"costs": costs}))
    loop.oracle.usd_left = left
    end = loop.run(5)
    assert end.stopped.startswith(reason)
    assert loop_state(loop.workspace).stopped == end.stopped
    assert loop.run(5) == end
    assert (len(end.outcomes), loop.maker.calls) == (len(figures), [])


def test_more_money_lets_a_loop_go_on_that_stopped_for_its_budget(tmp_path):
    loop = Loop(without_data(tmp_path))
    for number in (1, 2):
        fake_round(loop.workspace, number)
    (loop.workspace.training / "loop.json").write_text(json.dumps({"costs": [{"round": 2, "usd": 1.0}], "stopped": "budget: it was"}))
    loop.oracle.usd_left = 2.0
    assert loop.run(2).stopped == "the limit of 2 rounds"
    assert loop_state(loop.workspace).stopped == ""


def test_when_failures_bring_nothing_new_it_stops_instead_of_training_the_same_again(loop_of):
    loop = loop_of(USELESS)
    loop.maker.brings_new = False
    end = loop.run(3)
    assert end.stopped.startswith("nothing new: the failures of round 1")
    assert len(end.outcomes) == 1


@pytest.mark.parametrize("rounds", [0, -3])
def test_less_than_one_round_is_refused_before_anything_is_done(tmp_path, rounds):
    with pytest.raises(ConfigError, match=f"asked for {rounds} rounds; give at least 1 with --rounds"):
        Loop(without_data(tmp_path)).run(rounds)


def test_a_recipe_that_is_not_there_is_told_before_anything_is_paid(tmp_path, monkeypatch):
    loop = Loop(without_data(tmp_path))
    monkeypatch.setattr(castalia.loop, "make_datasets", loop.maker)
    (tmp_path / "recipe.yaml").unlink()
    with pytest.raises(ConfigError, match="recipe"):
        loop.run(1)
    assert loop.maker.calls == []


def test_costs_are_the_ledger_s_and_the_first_round_is_no_measure_of_later_ones():
    state = LoopState().begin(1, 2.0).begin(1, 7.0).finish(0, 8.0)
    assert (state.open_round, state.spent_before) == (1, 2.0)
    state = state.finish(1, 12.0)
    assert (state.costs, state.usd_per_round) == ((RoundCost(round=1, usd=10),), 0)
    state = state.begin(2, 12.0).finish(2, 13.0).begin(3, 13.0).finish(3, 16.0)
    assert state.usd_per_round == 2


def test_a_damaged_state_is_named(tmp_path):
    workspace = without_data(tmp_path)
    workspace.training.mkdir(parents=True)
    (workspace.training / "loop.json").write_text("{")
    with pytest.raises(StoreError, match="move it aside"):
        loop_state(workspace)


def graded(of: SuiteItem, right: bool, answer: str) -> ItemResult:
    return ItemResult(
        item=of.id, subject=of.subject, bank=of.bank, category=of.category, node=of.node, cluster=of.cluster, target="t", style="s", seed=0,
        passed=right, value=float(right), status="ok", answer=answer, reason="r", tokens=3,
    )  # fmt: skip


def test_a_mended_failure_is_practised_on_and_one_that_came_back_in_its_newer_form(tmp_path):
    items = [item("dev", number) for number in (1, 2, 3)]
    workspace = world(tmp_path, changes={"suite": items})
    practise(workspace, [graded(items[0], False, "One."), graded(items[1], False, "Two."), graded(items[2], True, "Three.")], 1)
    practise(workspace, [graded(items[0], True, "Three."), graded(items[1], False, "Ten."), graded(items[2], False, "Nine.")], 2)
    answers = {failure.item.subject: failure.answer for failure in workspace.store.read_dataset("failures", Failure)}
    assert answers == {items[0].subject: "One.", items[1].subject: "Ten.", items[2].subject: "Nine."}
    assert len(workspace.store.read_dataset("results.mined.dev", ItemResult)) == 3
