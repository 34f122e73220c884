"""Inputs nobody has seen: small changes of the known ones, by type, with the reference's own values for them.

Known inputs can be learned by heart; an input made for this grading can't. Inputs stay near the known ones, because a task's
preconditions are written nowhere else (the idea of EvalPlus, Liu et al. 2023); what the reference itself refuses is left out.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from castalia.sandbox.calls import Answer, encode_call
from castalia.sandbox.values import Case

_MOST_ITEMS = 40  # of a list, letters of a text


def fresh_cases(ask: Callable[[Sequence[Case]], Sequence[Answer]], known: Sequence[Case], count: int, *, seed: int) -> list[Case]:
    """At most `count` new cases. `ask` gives the reference's answers; it is asked twice, and what differs between the two times (an
    answer made from time, chance or the order of a set) is left out, as is what gives no value at all."""
    drawn = near_inputs(known, 2 * count, seed=seed)
    if not drawn:
        return []
    first = _answers(ask, drawn)
    kept = [(case, answer) for case, answer in zip(drawn, first, strict=True) if answer.kind == "ok"][:count]
    second = _answers(ask, [case for case, _ in kept])
    return [
        replace(case, expected=answer.value)
        for (case, answer), again in zip(kept, second, strict=True)
        if again.kind == "ok" and again.value == answer.value
    ]


def near_inputs(known: Sequence[Case], count: int, *, seed: int) -> list[Case]:
    """Calls like the known ones, all different from them and from each other, without expected values."""
    calls = [case for case in known if not case.kwargs]
    if not any(case.args for case in calls):
        return []
    chance = random.Random(seed)
    pools: dict[tuple[str, int], list[object]] = {}
    for case in calls:
        for place, value in enumerate(case.args):
            pools.setdefault((case.function, place), []).append(value)
    seen = {_key(case) for case in calls}
    found: list[Case] = []
    for _ in range(20 * count):
        if len(found) >= count:
            break
        base = chance.choice(calls)
        args = list(base.args)
        for place in range(len(args)):
            if chance.random() < 0.25:
                args[place] = chance.choice(pools[base.function, place])
        for _ in range(chance.choice((1, 1, 2, 3))):
            place = chance.randrange(len(args))
            args[place] = _changed(args[place], chance, pools[base.function, place])
        case = Case(base.function, tuple(args), relation="close" if base.relation == "close" else "equal", tolerance=base.tolerance)
        key = _key(case)
        if key not in seen:
            seen.add(key)
            found.append(case)
    return found


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


def _key(case: Case) -> str:
    return repr(encode_call(case))


def _changed(value: object, chance: random.Random, pool: Sequence[object]) -> object:
    """A value of the same type, near this one."""
    if value is None:
        return value
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        biggest = max([abs(one) for one in pool if isinstance(one, int)], default=1)
        low = -biggest if any(isinstance(one, int) and one < 0 for one in pool) else 0
        return chance.choice((value + 1, max(low, value - 1), chance.randint(low, biggest + 2), chance.randint(low, max(2, biggest // 2))))
    if isinstance(value, float):
        return chance.choice((value + 1.0, value * 2, round(chance.uniform(0, 2 * abs(value) + 1), 2), float(int(value))))
    if isinstance(value, str):
        return _changed_text(value, chance, [one for one in pool if isinstance(one, str)])
    if isinstance(value, (list, tuple)):
        items = _changed_items(list(cast(Sequence[object], value)), chance)
        return tuple(items) if isinstance(value, tuple) else items
    if isinstance(value, dict):
        pairs = dict(cast(Mapping[object, object], value))
        if pairs:
            key = chance.choice(list(pairs))
            if chance.random() < 0.3:
                del pairs[key]
            else:
                pairs[key] = _changed(pairs[key], chance, list(pairs.values()))
        return pairs
    if isinstance(value, (set, frozenset)):
        items = _changed_items(list(cast("set[object]", value)), chance)
        return type(cast(Any, value))(items)
    return value


def _changed_text(text: str, chance: random.Random, pool: Sequence[str]) -> str:
    letters = "".join(pool) or "ab"
    place = chance.randrange(len(text) + 1)
    kind = chance.randrange(6)
    if kind == 0 or not text:
        made = text[:place] + chance.choice(letters) + text[place:]
    elif kind == 1:
        made = text[: max(0, place - 1)] + text[place:]
    elif kind == 2:
        made = text[: max(0, place - 1)] + chance.choice(letters) + text[place:]
    elif kind == 3:
        made = text[place:] + text[:place]
    elif kind == 4:
        made = text + text[:place]
    else:
        made = text.swapcase() if any(letter.isalpha() for letter in text) else text[::-1]
    return made[:_MOST_ITEMS] if len(text) <= _MOST_ITEMS else made


def _changed_items(items: list[object], chance: random.Random) -> list[object]:
    kind = chance.randrange(6)
    place = chance.randrange(len(items)) if items else 0
    if not items:
        return items
    if kind == 0:
        del items[place]
    elif kind == 1 and len(items) < _MOST_ITEMS:
        items.insert(place, items[chance.randrange(len(items))])
    elif kind == 2:
        chance.shuffle(items)
    else:
        items[place] = _changed(items[place], chance, items)
    return items
