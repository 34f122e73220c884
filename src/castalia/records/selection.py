"""A few examples out of many: spread over categories and passages, and stable under small edits."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice

from castalia.records.base import CATEGORIES
from castalia.records.sft import SFTExample


def spread(examples: Iterable[SFTExample], count: int) -> list[SFTExample]:
    """At most `count` single-turn examples, categories in turn. No passage gives a second one before every passage gave its first.

    Passages go by name and examples by number, so that an edit moves the choice only where it was made; a larger `count` only adds.
    """
    waiting: dict[str, dict[str, deque[SFTExample]]] = {category: {} for category in CATEGORIES}
    for example in sorted((e for e in examples if e.kind not in ("agent-trace", "dialogue")), key=_place):
        waiting[example.category].setdefault(example.section, deque()).append(example)
    chosen: list[SFTExample] = []
    while more := list(islice(_one_per_passage(waiting), count - len(chosen))):
        chosen += more
    return chosen


def _one_per_passage(waiting: Mapping[str, Mapping[str, deque[SFTExample]]]) -> Iterator[SFTExample]:
    """Takes one example of each passage that has any left, categories in turn."""
    taken: set[str] = set()
    passages = {category: iter(of_category.items()) for category, of_category in waiting.items()}
    while True:
        before = len(taken)
        for left in passages.values():
            for section, examples in left:
                if examples and section not in taken:
                    taken.add(section)
                    yield examples.popleft()
                    break
        if len(taken) == before:
            return


def _place(example: SFTExample) -> tuple[str, int, str]:
    number = example.subject.rpartition("/")[2]
    return example.section, int(number) if number.isdecimal() else 0, example.subject
