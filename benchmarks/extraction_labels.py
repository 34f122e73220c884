# pyright: basic
"""Which units of a page stand in its gold text: aligned by runs of words, because gold text names no elements."""

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

_WORD = re.compile(r"\w+")
_RUN = 4
"""Words in a row that are no coincidence."""
_NEAR = 6
"""Units between a short unit and the gold neighbor that confirms it."""


def label_units(texts: Sequence[str], gold: str) -> list[float]:
    """For each unit the share of its words that the gold text has. Short units count when they adjoin a gold neighbor in the gold too, or
    are a line of the gold near one; of repeated units as many count as the gold has."""
    wanted = _WORD.findall(gold.lower())
    runs = {tuple(wanted[start : start + _RUN]) for start in range(len(wanted) - _RUN + 1)}
    lines = {tuple(_WORD.findall(line.lower())) for line in gold.splitlines()}
    flat = f" {' '.join(wanted)} "
    units = [_WORD.findall(text.lower()) for text in texts]
    labels = [_covered(unit, runs) if len(unit) >= _RUN else 0.0 for unit in units]
    places: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)
    for place, unit in enumerate(units):
        if unit:
            places[tuple(unit)].append(place)
    for unit, where in places.items():
        if len(unit) >= _RUN and len(where) > 1 and labels[where[0]] > 0.5:
            allowed = max(1, flat.count(f" {' '.join(unit)} "))
            for place in sorted(where, key=lambda place: -_support(place, labels, units))[allowed:]:
                labels[place] = 0.0
    for _ in range(2):  # the second time, short units that were found confirm others
        for unit, where in places.items():
            if len(unit) >= _RUN or not (allowed := flat.count(f" {' '.join(unit)} ")):
                continue
            ranked = sorted(
                ((_confirmed(place, labels, units, flat, lines), _support(place, labels, units), place) for place in where), reverse=True
            )
            for rank, (confirmed, _, place) in enumerate(ranked):
                labels[place] = float(confirmed >= 0.9 and rank < allowed)
    return labels


def _covered(unit: Sequence[str], runs: set[tuple[str, ...]]) -> float:
    covered: set[int] = set()
    for start in range(len(unit) - _RUN + 1):
        if tuple(unit[start : start + _RUN]) in runs:
            covered.update(range(start, start + _RUN))
    return len(covered) / len(unit)


def _support(place: int, labels: Sequence[float], units: Sequence[Sequence[str]]) -> float:
    near = [(step, other) for step in (1, 2, 3) for other in (place - step, place + step) if 0 <= other < len(units)]
    return sum(labels[other] * min(len(units[other]), 20) / step for step, other in near)


def _confirmed(place: int, labels: Sequence[float], units: Sequence[Sequence[str]], flat: str, lines: set[tuple[str, ...]]) -> float:
    before, after = place - 1, place + 1
    while before >= 0 and labels[before] <= 0.5:
        before -= 1
    while after < len(units) and labels[after] <= 0.5:
        after += 1
    has_before, has_after = before >= 0, after < len(units)
    unit = units[place]
    if has_before and place - before <= _NEAR and f" {' '.join([*units[before][-2:], *unit])} " in flat:
        return 2.0
    if has_after and after - place <= _NEAR and f" {' '.join([*unit, *units[after][:2]])} " in flat:
        return 2.0
    if tuple(unit) not in lines:
        return 0.0
    near = (has_before and place - before <= 3) + (has_after and after - place <= 3)
    return 0.5 + 0.4 * near


def words_of(texts: Sequence[str]) -> list[Counter[str]]:
    """Bags of lower-case words."""
    return [Counter(_WORD.findall(text.lower())) for text in texts]
