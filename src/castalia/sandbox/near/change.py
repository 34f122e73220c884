"""A value near another one: a small change of its type, or what another known input has there."""

import copy
import math
import random
from collections.abc import Sequence
from typing import Any, cast

from castalia.sandbox.near.known import key_of

_MOST_LETTERS = 60
_MOST_ITEMS = 40


def changed(value: object, known: Sequence[object], chance: random.Random) -> object:
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
            items.insert(place, changed(copy.deepcopy(chance.choice(pool)), pool, chance))
    elif kind == 1:
        del items[place]
    elif kind == 2:
        chance.shuffle(items)
    elif kind == 3 and len(items) < _MOST_ITEMS:
        items.append(copy.deepcopy(chance.choice(pool)))
    else:
        items[place] = changed(items[place], pool, chance)
    return items


def _changed_tuple(value: tuple[object, ...], known: Sequence[tuple[object, ...]], chance: random.Random) -> tuple[object, ...]:
    """Another tuple: of the same length where all known ones have it, as each place then has a meaning of its own."""
    if len({len(one) for one in (value, *known)}) > 1:
        return tuple(_changed_list(list(value), [list(one) for one in (value, *known)], chance))
    if not value:
        return value
    place = chance.randrange(len(value))
    return (*value[:place], changed(value[place], [one[place] for one in (value, *known)], chance), *value[place + 1 :])


def _changed_set(value: "set[object]", known: Sequence[Any], chance: random.Random) -> "set[object]":
    members = [sorted(one, key=key_of) for one in (value, *known)]
    return type(value)(_changed_list(list(members[0]), members, chance))
