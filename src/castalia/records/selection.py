"""A few examples out of many: spread over categories and passages, and stable under small edits."""

from collections.abc import Iterable

from castalia.records.base import CATEGORIES
from castalia.records.sft import SFTExample


def spread(examples: Iterable[SFTExample], count: int) -> list[SFTExample]:
    """At most `count` single-turn examples, at most one per passage, categories in turn.

    Passages go by name and examples by number, so that an edit moves the choice only where it was made.
    """
    ordered = sorted((e for e in examples if e.kind not in ("agent-trace", "dialogue")), key=_place)
    waiting = {category: [e for e in ordered if e.category == category] for category in CATEGORIES}
    chosen: list[SFTExample] = []
    taken: set[str] = set()
    while len(chosen) < count and any(waiting.values()):
        for category in CATEGORIES:
            while waiting[category] and waiting[category][0].section in taken:
                waiting[category].pop(0)
            if waiting[category] and len(chosen) < count:
                example = waiting[category].pop(0)
                chosen.append(example)
                taken.add(example.section)
    return chosen


def _place(example: SFTExample) -> tuple[str, int, str]:
    number = example.subject.rpartition("/")[2]
    return example.section, int(number) if number.isdecimal() else 0, example.subject
