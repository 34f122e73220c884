# pyright: basic
"""Scripted judges of known bias, on pairs that people judged.

Each pair has one driver, drawn by seed in exact shares: position (always says A), length (the longer answer as shown), injection (whatever
speaks to its judge wins; else content) or content: what most people said, wrong for good on one pair in seven and by chance on one question in
fifty. One answer in a hundred is unusable. So the share of verdicts that each bias decides is known to the pair.
"""

import asyncio
import json
import random
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from castalia.engine.context import Context
from castalia.errors import AnswerUnusable
from castalia.oracle import Reply
from castalia.quality.bias import INJECTION, KINDS, PROMPT, AnswerPair, Kind, PairVerdict, judge_pairs, measure_bias, shorter

Driver = Literal["position", "length", "injection", "content"]
_SHOWN = re.compile(r"Answer A:\n(=====\[\w+\]=====)\n(.*?)\n\1\n\nAnswer B:\n(=====\[\w+\]=====)\n(.*?)\n\3\n", re.DOTALL)
ALWAYS_WRONG, WRONG_BY_CHANCE, UNUSABLE = 1 / 7, 1 / 50, 1 / 100


class JudgedPair(NamedTuple):
    """A pair and what people said of it: 0 or 1 for the better answer, None for a tie, one entry a person."""

    pair: AnswerPair
    people: tuple[int | None, ...]

    @property
    def better(self) -> int | None:
        """What most of them said; None for a tie or where no two agree."""
        votes = [self.people.count(answer) for answer in (0, 1)]
        most = max(votes)
        return votes.index(most) if votes.count(most) == 1 and most * 2 > len(self.people) else None


@dataclass(frozen=True)
class Planted:
    """Shares of verdicts that each bias is to decide."""

    position: float
    length: float
    injection: float


JUDGES = {
    "even": Planted(0, 0, 0),
    "mild": Planted(0.05, 0.10, 0.04),
    "first": Planted(0.30, 0.05, 0.10),
    "wordy": Planted(0.10, 0.25, 0.05),
    "gullible": Planted(0.05, 0.05, 0.20),
}


def gold_pairs(folder: Path) -> list[JudgedPair]:
    """PandaLM with three people a pair, LLMBar Natural with one label."""
    panda = json.loads((folder / "pandalm_testset_v1.json").read_text(encoding="utf-8"))
    bar = json.loads((folder / "llmbar_natural.json").read_text(encoding="utf-8"))
    labels = {0: None, 1: 0, 2: 1}
    pairs = [
        JudgedPair(
            AnswerPair(
                f"pandalm/{row['idx']}", f"{row['instruction']}\n{row['input']}".strip(), (str(row["response1"]), str(row["response2"]))
            ),
            tuple(labels[row[f"annotator{number}"]] for number in (1, 2, 3)),
        )
        for row in panda
    ]
    return pairs + [
        JudgedPair(AnswerPair(f"llmbar/{number}", row["input"], (str(row["output_1"]), str(row["output_2"]))), (labels[row["label"]],))
        for number, row in enumerate(bar)
    ]


class ScriptedJudge:
    """Stands where the oracle client stands, and sees only the rendered question."""

    def __init__(self, pairs: Sequence[JudgedPair], planted: Planted, seed: int) -> None:
        self._random = random.Random(seed)
        self._opinion = {one.pair.subject: self._settled(one) for one in pairs}
        self.driver = self._drivers(pairs, planted)

    async def ask(self, role: str, system: str, user: str, answer: Any, *, task: Any, sample: int = 0) -> Any:
        """One verdict, as the driver of the pair has it."""
        if self._random.random() < UNUSABLE:
            raise AnswerUnusable("the scripted judge answered with nothing")
        subject, _, order = task.subject.rsplit("/", 2)
        found = _SHOWN.search(user)
        assert found is not None, "the question does not show two answers"
        said = self._say(subject, (found[2], found[4]), int(order) - 1)
        return Reply(answer.model_validate({"better": said}), "call", b"")

    def _say(self, subject: str, shown: tuple[str, str], first: int) -> str:
        driver = self.driver[subject]
        if driver == "position":
            return "A"
        if driver == "length":
            return "AB"[len(shown[1]) > len(shown[0])]
        if driver == "injection" and any(INJECTION in text for text in shown):
            return "AB"[INJECTION in shown[1]]
        opinion = self._opinion[subject]
        if opinion is None:
            return "tie"
        return "AB"[(opinion != first) != (self._random.random() < WRONG_BY_CHANCE)]

    def _settled(self, judged: JudgedPair) -> int | None:
        better = judged.better
        return better if better is None or self._random.random() > ALWAYS_WRONG else 1 - better

    def _drivers(self, pairs: Sequence[JudgedPair], planted: Planted) -> dict[str, Driver]:
        """Length only where one answer is longer; injection only where content speaks against the answer that is changed."""
        order = self._random.sample(list(pairs), len(pairs))
        drivers: dict[str, Driver] = {one.pair.subject: "content" for one in pairs}

        def assign(driver: Driver, share: float, fits: Any) -> None:
            free = [one for one in order if drivers[one.pair.subject] == "content" and fits(one)]
            for one in free[: round(share * len(pairs))]:
                drivers[one.pair.subject] = driver

        assign("injection", planted.injection, lambda one: self._opinion[one.pair.subject] == 1 - shorter(one.pair))
        assign("length", planted.length, lambda one: len(one.pair.answers[0]) != len(one.pair.answers[1]))
        assign("position", planted.position, lambda one: True)
        return drivers

    def planted(self) -> dict[Kind, float]:
        """Shares as they came out."""
        drivers = list(self.driver.values())
        return {kind: drivers.count(kind) / len(drivers) for kind in KINDS}


class Measured(NamedTuple):
    """One bias of one judge, planted and measured; fractions of the verdicts."""

    judge: str
    kind: Kind
    planted: float
    measured: float
    low: float
    high: float
    naive: float
    """As read off plain verdicts: the first or the longer answer's surplus in one order, the injected answer's gain over the plain one."""


def measure_judges(pairs: Sequence[JudgedPair], names: Sequence[str], folder: Path, *, seed: int = 0) -> list[Measured]:
    """Asks each scripted judge through the prompt and the door that real ones are asked by, stores its verdicts, and measures those."""
    found: list[Measured] = []
    for number, name in enumerate(names):
        judge = ScriptedJudge(pairs, JUDGES[name], seed + number)
        ctx = Context("judges", ("judge",), {PROMPT.stem: PROMPT}, judge)  # pyright: ignore[reportArgumentType]
        given = asyncio.run(judge_pairs([one.pair for one in pairs], ctx))
        path = folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps(verdict._asdict()) + "\n" for verdict in given), encoding="utf-8")
        stored = [PairVerdict(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]
        planted, biases, naive = judge.planted(), measure_bias(stored), _naive(stored)
        found += [Measured(name, kind, planted[kind], *biases[kind][2:], naive[kind]) for kind in KINDS]
    return found


def _naive(verdicts: Sequence[PairVerdict]) -> dict[Kind, float]:
    def mean(values: Sequence[float]) -> float:
        return sum(values) / len(values)

    plain = [one for one in verdicts if one.change == "plain" and one.won is not None and one.first == 0]
    first = mean([one.won if one.first == one.target else 1 - one.won for one in plain if one.won is not None])
    longer = mean([1 - one.won for one in plain if one.won is not None])
    injected = mean([one.won for one in verdicts if one.change == "injected" and one.first == 0 and one.won is not None])
    return {"position": 2 * first - 1, "length": 2 * longer - 1, "injection": injected - (1 - longer)}


def planted_rows() -> dict[str, dict[str, float]]:
    """The judges as they are planned."""
    return {name: asdict(planted) for name, planted in JUDGES.items()}
