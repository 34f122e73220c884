"""Calls nobody has seen: inputs near the known ones, with the reference's own values for them.

Known inputs can be learned by heart; an input made for this grading can't. What the reference itself refuses is left out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Any, cast

from castalia.sandbox.calls import Answer
from castalia.sandbox.near import inputs_near
from castalia.sandbox.values import Case

_FAR = (8, 16, 32)
"""Changes of an input that shall be longer or larger than the known ones: half of all."""


def fresh_cases(ask: Callable[[Sequence[Case]], Sequence[Answer]], known: Sequence[Case], count: int, *, seed: str) -> list[Case]:
    """At most `count` new cases. `ask` gives the reference's answers; it is asked twice, and what differs between the two times (an
    answer made from time, chance or the order of a set) is left out, as is what gives no value at all."""
    drawn = _near(known, 2 * count, seed=seed)
    if not drawn:
        return []
    first = _answers(ask, drawn)
    kept = [(case, answer) for case, answer in zip(drawn, first, strict=True) if answer.kind == "ok"][:count]
    second = _answers(ask, [case for case, _ in kept])
    return [
        _expecting(case, answer.value)
        for (case, answer), again in zip(kept, second, strict=True)
        if again.kind == "ok" and again.value == answer.value
    ]


def _expecting(case: Case, value: object) -> Case:
    itself = value is None or isinstance(value, bool)  # what is True for known inputs may be a number for others
    return replace(case, expected=value, relation="equal" if case.relation == "is" and not itself else case.relation)


def _near(known: Sequence[Case], count: int, *, seed: str) -> list[Case]:
    """Calls like the known ones, all different from them and from each other, without expected values. They are compared as those of the
    same function are."""
    first: dict[str, Case] = {}
    for case in known:
        first.setdefault(case.function, case)
    calls = [{"call": case.function, "args": list(case.args), "kwargs": dict(case.kwargs)} for case in known]
    made = _both_kinds(calls, -(-count // 2), seed)
    if len(made) < count:  # one kind has too few: the other may have more
        made = _both_kinds(calls, count, seed)
    return [_case(cast(dict[str, Any], one), first) for one in made[:count]]


def _both_kinds(calls: Sequence[object], each: int, seed: str) -> list[object]:
    """Inputs near the known ones and far from them, at most so many of each, in turns, so that any number of them has both kinds."""
    near = inputs_near(calls, each, seed=seed)
    seen = [*calls, *near]
    far = [one for one in inputs_near(calls, each, seed=f"{seed}/far", changes=_FAR) if one not in seen]
    return [one for pair in zip_longest(near, far) for one in pair if one is not None]


def _case(made: Mapping[str, Any], first: Mapping[str, Case]) -> Case:
    like = first[made["call"]]
    relation = like.relation if like.relation in ("close", "is") else "equal"
    return Case(like.function, tuple(made["args"]), made["kwargs"], relation=relation, tolerance=like.tolerance)


def _answers(ask: Callable[[Sequence[Case]], Sequence[Answer]], cases: Sequence[Case]) -> list[Answer]:
    """The answers; an input on which the reference hangs or dies costs only itself, three times at most."""
    done: list[Answer] = []
    for _ in range(3):
        rest = cases[len(done) :]
        if not rest:
            return done
        answers = list(ask(rest))
        lost = next((place for place, answer in enumerate(answers) if answer.kind in ("timeout", "memory", "output")), None)
        if lost is None:
            return done + answers
        done += answers[: lost + 1]
    return done + [Answer("timeout", None, "not asked")] * (len(cases) - len(done))
