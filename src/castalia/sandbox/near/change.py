"""A value near another one: a small change of its type, or what another known input has there."""

import copy
import math
import random
from typing import Any, cast

from castalia.sandbox.near.known import Known, key_of

_MOST_LETTERS = 60
_MOST_ITEMS = 40


def changed(value: object, known: Known, chance: random.Random) -> object:
    """A value near this one, of its type or what another known input has there."""
    seen = known.values or (value,)  # an earlier change may have made a place that no known input has
    if value is None or chance.random() < 0.25:
        return copy.deepcopy(chance.choice(seen))
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return _changed_number(value, known, chance)
    if isinstance(value, float):
        low = 0.0 if known.no_float_below_zero else -2 * abs(value) - 1
        made = chance.choice((value + 1.0, value * 2, round(chance.uniform(low, 2 * abs(value) + 1), 2)))
        return made if math.isfinite(made) else value  # twice a number may be too large for one
    if isinstance(value, str):
        return _changed_text(value, known if known.texts else Known((value,)), chance)
    if isinstance(value, list):
        return _changed_list(list(cast(list[object], value)), known.pool, chance)
    if isinstance(value, tuple):
        return _changed_tuple(cast(tuple[object, ...], value), known, chance)
    if isinstance(value, (set, frozenset)):
        return _changed_set(cast(Any, value), known, chance)
    return copy.deepcopy(chance.choice(seen))


def _changed_number(value: int, known: Known, chance: random.Random) -> int:
    lowest, highest = known.numbers or (value, value)
    lowest, highest = min(lowest, value), max(highest, value)
    biggest = max(abs(lowest), abs(highest))
    low = -biggest if lowest < 0 else min(lowest, 1)
    return chance.choice(
        (value + 1, max(low, value - 1), chance.randint(low, biggest + 2), chance.randint(low, max(low + 1, biggest // 2)))
    )


def _changed_text(text: str, known: Known, chance: random.Random) -> str:
    letters = known.letters
    if known.parted and chance.random() < 0.5:
        mark = chance.choice(known.parted)
        parts = cast(list[object], text.split(mark))
        return mark.join(map(str, _changed_list(parts, known.split_at(mark), chance)))
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
        made = text + chance.choice((text, text[:place], chance.choice(known.texts)))
    return made if len(made) <= max(_MOST_LETTERS, len(text)) else text


def _changed_list(items: list[object], pool: Known, chance: random.Random) -> list[object]:
    """The list with one change; `pool` has the items of all known ones."""
    kind = chance.randrange(5)
    place = chance.randrange(len(items)) if items else 0
    if not items or (kind == 0 and len(items) < _MOST_ITEMS):
        if pool.values:
            items.insert(place, changed(copy.deepcopy(chance.choice(pool.values)), pool, chance))
    elif kind == 1:
        del items[place]
    elif kind == 2:
        chance.shuffle(items)
    elif kind == 3 and len(items) < _MOST_ITEMS:
        items.append(copy.deepcopy(chance.choice(pool.values or tuple(items))))
    else:
        items[place] = changed(items[place], pool, chance)
    return items


def _changed_tuple(value: tuple[object, ...], known: Known, chance: random.Random) -> tuple[object, ...]:
    """Another tuple: of the same length where all known ones have it, as each place then has a meaning of its own."""
    tuples = (value, *(cast(tuple[object, ...], one) for one in known.values if isinstance(one, tuple)))
    if len({len(one) for one in tuples}) > 1:
        return tuple(_changed_list(list(value), Known(item for one in tuples for item in one), chance))
    if not value:
        return value
    place = chance.randrange(len(value))
    return (*value[:place], changed(value[place], Known(one[place] for one in tuples), chance), *value[place + 1 :])


def _changed_set(value: "set[object]", known: Known, chance: random.Random) -> "set[object]":
    alike = (value, *(one for one in known.values if type(one) is type(value)))
    members = [sorted(one, key=key_of) for one in alike]
    return type(value)(_changed_list(list(members[0]), Known(item for one in members for item in one), chance))
