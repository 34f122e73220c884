"""Inputs near the known ones, for any runner: small changes of plain values where the known inputs themselves differ.

What a task allows is written nowhere else than in its tests, so the tests are read for it: a value that all of them share is given by
the task and stays; what is always there is never left out; signs, letters, order, distinctness and equal lengths stay as they are in all
of them. A single known input may change anywhere, as nothing says what is given. Idea: EvalPlus (Liu et al. 2023), which changes
inputs by type.
"""

import copy
import random
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, cast

from castalia.sandbox.near.change import changed
from castalia.sandbox.near.known import ARGUMENTS, FUNCTION, Known, is_alike, key_of, of_one_length

_MISSES = 200  # draws in a row that give nothing new: the task has hardly another input


class _Place(NamedTuple):
    """Where an input may change, and all that the known inputs hold there."""

    path: tuple[str | int, ...]
    known: Known
    optional: bool = False


def inputs_near(known: Sequence[object], count: int, *, seed: str, changes: Sequence[int] = (1, 1, 2, 3)) -> list[object]:
    """At most `count` inputs, different from the known ones and from each other; the same for the same seed. None where the known
    inputs leave nothing to change. Each has one of the numbers of `changes`: the more, the farther from a known one."""
    chance = random.Random(seed)
    called: dict[str, list[object]] = {}
    for value in known:
        called.setdefault(_called(value), []).append(value)
    groups = {name: Known(values) for name, values in called.items()}
    seen = {key_of(value) for value in known}
    lengths = {name: of_one_length(values) for name, values in called.items()}
    found: list[object] = []
    missed = 0
    while known and len(found) < count and missed < _MISSES:
        missed += 1
        base = chance.choice(known)
        group = groups[_called(base)]
        made = _varied(base, group, chance.choice(changes), chance)
        key = key_of(made)
        if key not in seen and is_alike(made, group) and lengths[_called(base)] <= of_one_length([made]):
            seen.add(key)
            found.append(made)
            missed = 0
    return found


def _called(value: object) -> str:
    return str(cast(dict[str, object], value).get(FUNCTION, "")) if isinstance(value, dict) else ""


def _varied(base: object, group: Known, changes: int, chance: random.Random) -> object:
    made = copy.deepcopy(base)
    places: list[_Place] | None = None
    for _ in range(changes):
        places = list(_places(made, group, ())) if places is None else places
        if not places:
            return made
        place = chance.choice(places)
        if place.optional:
            _take_or_leave(made, place, chance)
            places = None
            continue
        before = _at(made, place.path)
        after = changed(before, place.known, chance)
        made = _with(made, place.path, after)
        if type(after) is not type(before) or isinstance(after, (list, dict)):
            places = None  # another leaf of the same type leaves all places where they are
    return made


def _places(value: object, known: Known, path: tuple[str | int, ...]) -> Iterator[_Place]:
    if known.given:
        return
    if isinstance(value, dict) and len(known.fields) == len(known.values):
        fields = cast(dict[str, object], value)
        for name in known.names:
            if not path and name == FUNCTION:
                continue
            having = known.field(name)
            if len(having.values) < len(known.values):
                yield _Place((*path, name), having, optional=True)
            if name in fields:
                yield from _places(fields[name], having, (*path, name))
    elif isinstance(value, list) and len(known.lists) == len(known.values):
        free = known.of_lengths > 1 or (len(known.lists) == 1 and path != (ARGUMENTS,))
        if free:
            yield _Place(path, known)
        for number, item in enumerate(cast(list[object], value)):
            yield from _places(item, known.pool if free else known.item(number), (*path, number))
    elif value is not None or len(known.values) > 1:
        yield _Place(path, known)


def _take_or_leave(made: object, place: _Place, chance: random.Random) -> None:
    holder = cast(dict[str | int, object], _at(made, place.path[:-1]))
    key = place.path[-1]
    if key in holder:
        del holder[key]
    else:
        holder[key] = copy.deepcopy(chance.choice(place.known.values))


def _at(value: object, path: Sequence[str | int]) -> object:
    for step in path:
        value = cast(Any, value)[step]
    return value


def _with(value: object, path: Sequence[str | int], new: object) -> object:
    if not path:
        return new
    cast(Any, _at(value, path[:-1]))[path[-1]] = new
    return value
