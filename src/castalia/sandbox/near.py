"""Inputs near the known ones, for any runner: small changes of plain values where the known inputs themselves differ.

What a task allows is written nowhere else than in its tests, so the tests are read for it: a value that all of them share is given by
the task and stays; what is always there is never left out; signs, letters, order, distinctness and equal lengths stay as they are in all
of them. A single known input may change anywhere, as nothing says what is given. Idea: EvalPlus (Liu et al. 2023), which changes
inputs by type.
"""

import copy
import json
import math
import random
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import combinations, pairwise
from typing import Any, NamedTuple, cast

from castalia.sandbox.inside.plain import encode

_MOST_LETTERS = 60
_MOST_ITEMS = 40
_TRIES = 20  # draws per wanted input: many changes give an input that is known already
_FUNCTION = "call"  # names the function where a runner calls one; never changed
_ARGUMENTS = "args"  # its arguments: as many as the known calls have

_UNORDERED = ("set", "frozenset", "dict")


class _Known:
    """All that the known inputs hold at one place. What follows from it is found once, however many draws ask."""

    def __init__(self, values: Iterable[object]) -> None:
        self.values = tuple(values)
        self._inner: dict[object, _Known] = {}

    @cached_property
    def given(self) -> bool:
        """Whether they share one value, which is then given by the task."""
        return len(self.values) > 1 and _are_alike(self.values)

    @cached_property
    def fields(self) -> tuple[dict[str, object], ...]:
        return tuple(cast(dict[str, object], one) for one in self.values if isinstance(one, dict))

    @cached_property
    def names(self) -> list[str]:
        return sorted({name for one in self.fields for name in one}, key=repr)

    @cached_property
    def lists(self) -> tuple[list[object], ...]:
        return tuple(cast(list[object], one) for one in self.values if isinstance(one, list))

    @cached_property
    def texts(self) -> tuple[str, ...]:
        return tuple(one for one in self.values if isinstance(one, str))

    @cached_property
    def pool(self) -> "_Known":
        """The items of all lists."""
        return _Known(item for one in self.lists for item in one)

    @cached_property
    def of_lengths(self) -> int:
        """How many lengths the lists have."""
        return len({len(one) for one in self.lists})

    @cached_property
    def sorted_always(self) -> bool:
        return self._tell and all(map(_is_sorted, self._longer))

    @cached_property
    def distinct_always(self) -> bool:
        return self._tell and all(map(_is_distinct, self._longer))

    @cached_property
    def padded(self) -> bool:
        """Whether a text has outer space."""
        return any(one != one.strip() for one in self.texts)

    @cached_property
    def _longer(self) -> list[list[object]]:
        return [one for one in self.lists if len(one) > 1]

    @property
    def _tell(self) -> bool:
        """Whether the lists are enough to say something of order."""
        return len(self._longer) > 1 or any(len(one) > 2 for one in self._longer)

    def field(self, name: str) -> "_Known":
        if name not in self._inner:
            self._inner[name] = _Known(one[name] for one in self.fields if name in one)
        return self._inner[name]

    def item(self, number: int) -> "_Known":
        if number not in self._inner:
            self._inner[number] = _Known(one[number] for one in self.lists if number < len(one))
        return self._inner[number]


class _Place(NamedTuple):
    """Where an input may change, and all that the known inputs hold there."""

    path: tuple[str | int, ...]
    known: tuple[object, ...]
    optional: bool = False


def inputs_near(known: Sequence[object], count: int, *, seed: str, changes: Sequence[int] = (1, 1, 2, 3)) -> list[object]:
    """At most `count` inputs, different from the known ones and from each other; the same for the same seed. None where the known
    inputs leave nothing to change. Each has one of the numbers of `changes`: the more, the farther from a known one."""
    chance = random.Random(seed)
    called: dict[str, list[object]] = {}
    for value in known:
        called.setdefault(_called(value), []).append(value)
    groups = {name: _Known(values) for name, values in called.items()}
    seen = {_key(value) for value in known}
    of_one_length = {name: _of_one_length(values) for name, values in called.items()}
    found: list[object] = []
    for _ in range(_TRIES * count if known else 0):
        if len(found) >= count:
            break
        base = chance.choice(known)
        group = groups[_called(base)]
        made = _varied(base, group, chance.choice(changes), chance)
        key = _key(made)
        if key not in seen and _alike(made, group) and of_one_length[_called(base)] <= _of_one_length([made]):
            seen.add(key)
            found.append(made)
    return found


def _key(value: object) -> str:
    """Equal for equal values of the same types."""
    return json.dumps(_in_order(encode(value)), sort_keys=True)


def _in_order(plain: Any) -> Any:
    """The plain form with members of sets and keys of dictionaries sorted."""
    if isinstance(plain, list):
        return [_in_order(item) for item in cast(list[Any], plain)]
    if isinstance(plain, dict) and isinstance(members := cast(dict[str, Any], plain)["v"], list):
        items = _in_order(members)
        return {"$": cast(object, plain["$"]), "v": sorted(items, key=repr) if plain["$"] in _UNORDERED else items}
    return cast(Any, plain)


def _called(value: object) -> str:
    return str(cast(dict[str, object], value).get(_FUNCTION, "")) if isinstance(value, dict) else ""


def _varied(base: object, group: _Known, changes: int, chance: random.Random) -> object:
    made = copy.deepcopy(base)
    for _ in range(changes):
        places = list(_places(made, group, ()))
        if not places:
            return made
        place = chance.choice(places)
        if place.optional:
            _take_or_leave(made, place, chance)
        else:
            made = _with(made, place.path, _changed(_at(made, place.path), place.known, chance))
    return made


def _places(value: object, known: _Known, path: tuple[str | int, ...]) -> Iterator[_Place]:
    if known.given:
        return
    if isinstance(value, dict) and len(known.fields) == len(known.values):
        fields = cast(dict[str, object], value)
        for name in known.names:
            if not path and name == _FUNCTION:
                continue
            having = known.field(name)
            if len(having.values) < len(known.values):
                yield _Place((*path, name), having.values, optional=True)
            if name in fields:
                yield from _places(fields[name], having, (*path, name))
    elif isinstance(value, list) and len(known.lists) == len(known.values):
        free = known.of_lengths > 1 or (len(known.lists) == 1 and path != (_ARGUMENTS,))
        if free:
            yield _Place(path, known.values)
        for number, item in enumerate(cast(list[object], value)):
            yield from _places(item, known.pool if free else known.item(number), (*path, number))
    elif value is not None or len(known.values) > 1:
        yield _Place(path, known.values)


def _take_or_leave(made: object, place: _Place, chance: random.Random) -> None:
    holder = cast(dict[str | int, object], _at(made, place.path[:-1]))
    key = place.path[-1]
    if key in holder:
        del holder[key]
    else:
        holder[key] = copy.deepcopy(chance.choice(place.known))


def _at(value: object, path: Sequence[str | int]) -> object:
    for step in path:
        value = cast(Any, value)[step]
    return value


def _with(value: object, path: Sequence[str | int], new: object) -> object:
    if not path:
        return new
    cast(Any, _at(value, path[:-1]))[path[-1]] = new
    return value


def _changed(value: object, known: Sequence[object], chance: random.Random) -> object:
    """A value near this one, of its type or what another known input has there."""
    if value is None or chance.random() < 0.25:
        return copy.deepcopy(chance.choice(known))
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return _changed_number(value, [one for one in known if type(one) is int], chance)
    if isinstance(value, float):
        low = 0.0 if all(one >= 0 for one in known if isinstance(one, float)) else -2 * abs(value) - 1
        made = chance.choice((value + 1.0, value * 2, round(chance.uniform(low, 2 * abs(value) + 1), 2)))
        return made if math.isfinite(made) else value  # twice a number may be too large for one
    if isinstance(value, str):
        return _changed_text(value, [one for one in known if isinstance(one, str)] or [value], chance)
    if isinstance(value, list):
        lists = [cast(list[object], one) for one in known if isinstance(one, list)]
        return _changed_list(list(cast(list[object], value)), lists, chance)
    if isinstance(value, tuple):
        return _changed_tuple(
            cast(tuple[object, ...], value), [cast(tuple[object, ...], one) for one in known if isinstance(one, tuple)], chance
        )
    if isinstance(value, (set, frozenset)):
        return _changed_set(cast(Any, value), [one for one in known if type(one) is type(cast(object, value))], chance)
    return copy.deepcopy(chance.choice(known))


def _changed_number(value: int, known: Sequence[int], chance: random.Random) -> int:
    biggest = max(map(abs, (value, *known)))
    lowest = min((value, *known))
    low = -biggest if lowest < 0 else min(lowest, 1)
    return chance.choice(
        (value + 1, max(low, value - 1), chance.randint(low, biggest + 2), chance.randint(low, max(low + 1, biggest // 2)))
    )


def _changed_text(text: str, known: Sequence[str], chance: random.Random) -> str:
    letters = "".join(sorted(set("".join(known)) - {"\n"})) or "ab"
    parted = [mark for mark in ("\n", " ") if any(mark in one for one in known)]
    if parted and chance.random() < 0.5:
        mark = chance.choice(parted)
        parts = cast(list[object], text.split(mark))
        return mark.join(map(str, _changed_list(parts, [cast(list[object], one.split(mark)) for one in known], chance)))
    place = chance.randrange(len(text) + 1)
    kind = chance.randrange(5)
    if kind == 0 or not text:
        made = text[:place] + chance.choice(letters) + text[place:]
    elif kind == 1:
        made = text[: max(0, place - 1)] + text[place:]
    elif kind == 2:
        made = text[: max(0, place - 1)] + chance.choice(letters) + text[place:]
    elif kind == 3:
        made = text[place:] + text[:place]
    else:
        made = text + chance.choice((text, text[:place], chance.choice(known)))
    return made if len(made) <= max(_MOST_LETTERS, len(text)) else text


def _changed_list(items: list[object], known: Sequence[list[object]], chance: random.Random) -> list[object]:
    pool = [item for one in known for item in one]
    kind = chance.randrange(5)
    place = chance.randrange(len(items)) if items else 0
    if not items or (kind == 0 and len(items) < _MOST_ITEMS):
        if pool:
            items.insert(place, _changed(copy.deepcopy(chance.choice(pool)), pool, chance))
    elif kind == 1:
        del items[place]
    elif kind == 2:
        chance.shuffle(items)
    elif kind == 3 and len(items) < _MOST_ITEMS:
        items.append(copy.deepcopy(chance.choice(pool)))
    else:
        items[place] = _changed(items[place], pool, chance)
    return items


def _changed_tuple(value: tuple[object, ...], known: Sequence[tuple[object, ...]], chance: random.Random) -> tuple[object, ...]:
    """Another tuple: of the same length where all known ones have it, as each place then has a meaning of its own."""
    if len({len(one) for one in (value, *known)}) > 1:
        return tuple(_changed_list(list(value), [list(one) for one in (value, *known)], chance))
    if not value:
        return value
    place = chance.randrange(len(value))
    return (*value[:place], _changed(value[place], [one[place] for one in (value, *known)], chance), *value[place + 1 :])


def _changed_set(value: "set[object]", known: Sequence[Any], chance: random.Random) -> "set[object]":
    members = [sorted(one, key=_key) for one in (value, *known)]
    return type(value)(_changed_list(list(members[0]), members, chance))


def _of_one_length(values: Sequence[object]) -> set[tuple[str, str]]:
    """The pairs of places whose texts or lists are equally long in every value that has both."""
    sizes = [dict(_sizes(value, "", 3)) for value in values]
    names = [set(size) for size in sizes]
    places = sorted(names[0].intersection(*names[1:])) if names else []
    return {(one, other) for one, other in combinations(places, 2) if all(size[one] == size[other] for size in sizes)}


def _sizes(value: object, place: str, depth: int) -> Iterator[tuple[str, int]]:
    if isinstance(value, dict) and depth:
        for key, inner in cast(dict[str, object], value).items():
            yield from _sizes(inner, f"{place}/{key}", depth - 1)
    elif isinstance(value, list) and place == f"/{_ARGUMENTS}":
        for number, inner in enumerate(cast(list[object], value)):
            yield from _sizes(inner, f"{place}/{number}", depth - 1)
    elif isinstance(value, (str, list, tuple)) and place != f"/{_FUNCTION}":
        yield place, len(cast("str | list[object] | tuple[object, ...]", value))


def _alike(value: object, known: _Known) -> bool:
    """Whether what holds for all known values here holds for this one: order, distinctness, no empty text, no outer space."""
    if isinstance(value, str):
        texts = known.texts
        return not texts or ((bool(value) or "" in texts) and (known.padded or value == value.strip()))
    if isinstance(value, dict):
        return all(_alike(inner, known.field(name)) for name, inner in cast(dict[str, object], value).items())
    if not isinstance(value, list):
        return True
    items = cast(list[object], value)
    if known.sorted_always and not _is_sorted(items):
        return False
    if known.distinct_always and not _is_distinct(items):
        return False
    return all(_alike(item, known.pool) for item in items)


def _are_alike(values: Sequence[object]) -> bool:
    first = _key(values[0])
    return all(_key(one) == first for one in values[1:])


def _is_sorted(items: Sequence[object]) -> bool:
    try:
        return all(left <= right for left, right in pairwise(cast(Sequence[Any], items)))
    except TypeError:
        return False


def _is_distinct(items: Sequence[object]) -> bool:
    return len({_key(item) for item in items}) == len(items)
