"""Answers that are shown under letters, and what was said of each of them."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from castalia.records.flaw import Flaw

LABELS = "ABCDEFGHIJKLMNOP"


class Labelled(Protocol):
    """What was said of the answer under a label."""

    @property
    def label(self) -> str: ...


T = TypeVar("T", bound=Labelled)


def by_label(said: Sequence[T], count: int) -> list[T] | Flaw:
    """What was said of each of `count` answers, in the order shown; a Flaw unless there is exactly one for each label."""
    labels = LABELS[:count]
    given = {one.label.strip().upper(): one for one in said}
    if len(given) != len(said) or set(given) != set(labels):
        return Flaw("labels-do-not-match", f"{[one.label for one in said]} for {', '.join(labels)}")
    return [given[label] for label in labels]
