"""What the known inputs of a task say of it: what they share, what they have in common, and when another value is alike."""

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import combinations, pairwise
from typing import Any, cast

from castalia.sandbox.inside.plain import encode

FUNCTION = "call"  # names the function where a runner calls one; never changed
ARGUMENTS = "args"  # its arguments: as many as the known calls have

_UNORDERED = ("set", "frozenset", "dict")


class Known:
    """All that the known inputs hold at one place. What follows from it is found once, however many draws ask."""

    def __init__(self, values: Iterable[object]) -> None:
        self.values = tuple(values)
        self._inner: dict[object, Known] = {}

    @cached_property
    def given(self) -> bool:
        """Whether they share one value, which is then given by the task."""
        return len(self.values) > 1 and _are_alike(self.values)

    @cached_property
    def fields(self) -> tuple[dict[str, object], ...]:
        """The objects among them."""
        return tuple(cast(dict[str, object], one) for one in self.values if isinstance(one, dict))

    @cached_property
    def names(self) -> list[str]:
        """All names of fields, sorted."""
        return sorted({name for one in self.fields for name in one}, key=repr)

    @cached_property
    def lists(self) -> tuple[list[object], ...]:
        """The lists among them."""
        return tuple(cast(list[object], one) for one in self.values if isinstance(one, list))

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """The texts among them."""
        return tuple(one for one in self.values if isinstance(one, str))

    @cached_property
    def numbers(self) -> tuple[int, int] | None:
        """The least and the greatest whole number among them."""
        numbers = [one for one in self.values if type(one) is int]
        return (min(numbers), max(numbers)) if numbers else None

    @cached_property
    def no_float_below_zero(self) -> bool:
        """Whether no float among them is negative."""
        return all(one >= 0 for one in self.values if isinstance(one, float))

    @cached_property
    def letters(self) -> str:
        """The letters of the texts, sorted."""
        return "".join(sorted(set("".join(self.texts)) - {"\n"})) or "ab"

    @cached_property
    def parted(self) -> list[str]:
        """What parts a text into lines or words."""
        return [mark for mark in ("\n", " ") if any(mark in one for one in self.texts)]

    def split_at(self, mark: str) -> "Known":
        """The parts of all texts."""
        parts = ("split", mark)
        if parts not in self._inner:
            self._inner[parts] = Known(part for one in self.texts for part in one.split(mark))
        return self._inner[parts]

    @cached_property
    def pool(self) -> "Known":
        """The items of all lists."""
        return Known(item for one in self.lists for item in one)

    @cached_property
    def of_lengths(self) -> int:
        """How many lengths the lists have."""
        return len({len(one) for one in self.lists})

    @cached_property
    def sorted_always(self) -> bool:
        """Whether every list is sorted."""
        return self._tell and all(map(_is_sorted, self._longer))

    @cached_property
    def distinct_always(self) -> bool:
        """Whether no list says anything twice."""
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

    def field(self, name: str) -> "Known":
        """What they hold in a field."""
        if name not in self._inner:
            self._inner[name] = Known(one[name] for one in self.fields if name in one)
        return self._inner[name]

    def item(self, number: int) -> "Known":
        """What their lists hold at a place."""
        if number not in self._inner:
            self._inner[number] = Known(one[number] for one in self.lists if number < len(one))
        return self._inner[number]


def key_of(value: object) -> str:
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


def is_alike(value: object, known: Known) -> bool:
    """Whether what holds for all known values here holds for this one: order, distinctness, no empty text, no outer space."""
    if isinstance(value, str):
        texts = known.texts
        return not texts or ((bool(value) or "" in texts) and (known.padded or value == value.strip()))
    if isinstance(value, dict):
        return all(is_alike(inner, known.field(name)) for name, inner in cast(dict[str, object], value).items())
    if not isinstance(value, list):
        return True
    items = cast(list[object], value)
    if known.sorted_always and not _is_sorted(items):
        return False
    if known.distinct_always and not _is_distinct(items):
        return False
    return all(is_alike(item, known.pool) for item in items)


def _are_alike(values: Sequence[object]) -> bool:
    first = key_of(values[0])
    return all(key_of(one) == first for one in values[1:])


def _is_sorted(items: Sequence[object]) -> bool:
    try:
        return all(left <= right for left, right in pairwise(cast(Sequence[Any], items)))
    except TypeError:
        return False


def _is_distinct(items: Sequence[object]) -> bool:
    return len({key_of(item) for item in items}) == len(items)


def of_one_length(values: Sequence[object]) -> set[tuple[str, str]]:
    """The pairs of places whose texts or lists are equally long in every value that has both."""
    sizes = [dict(_sizes(value, "", 3)) for value in values]
    names = [set(size) for size in sizes]
    places = sorted(names[0].intersection(*names[1:])) if names else []
    return {(one, other) for one, other in combinations(places, 2) if all(size[one] == size[other] for size in sizes)}


def _sizes(value: object, place: str, depth: int) -> Iterator[tuple[str, int]]:
    if isinstance(value, dict) and depth:
        for key, inner in cast(dict[str, object], value).items():
            yield from _sizes(inner, f"{place}/{key}", depth - 1)
    elif isinstance(value, list) and place == f"/{ARGUMENTS}":
        for number, inner in enumerate(cast(list[object], value)):
            yield from _sizes(inner, f"{place}/{number}", depth - 1)
    elif isinstance(value, (str, list, tuple)) and place != f"/{FUNCTION}":
        yield place, len(cast("str | list[object] | tuple[object, ...]", value))
