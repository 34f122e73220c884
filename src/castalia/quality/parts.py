"""The parts of a dataset that quotas tell apart: by category, domain, node, difficulty, kind and style."""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import NamedTuple

from castalia.records import CATEGORIES, PreferencePair, Quota, Record, ReplayItem, RewardRecord, SFTExample, TaxonomyNode
from castalia.records.quota import EACH, KNOWN, PARTS, SFT_KINDS


class Place(NamedTuple):
    """A part of a dataset; None where a quota doesn't tell records apart."""

    category: str | None
    domain: str | None
    node: str | None
    difficulty: str | None
    kind: str | None
    style: str | None

    def __str__(self) -> str:
        return ", ".join(value for value in self if value is not None) or "all"


def kind_of(record: Record) -> str:
    """What is told apart within a category: the kind of an example, what decided a pair, how a reward is checked, how the target failed."""
    if isinstance(record, SFTExample):
        return record.kind
    if isinstance(record, PreferencePair):
        return record.decided_by
    if isinstance(record, ReplayItem):
        return record.failure_type
    return record.check.kind if isinstance(record, RewardRecord) else ""


def place_of(record: Record, quota: Quota) -> Place | None:
    """Where a record counts under a quota; None where it doesn't."""
    values = [kind_of(record) if name == "kind" else getattr(record, name, None) or "" for name in PARTS]
    if any(want not in (None, EACH, value) or (want == EACH and not value) for want, value in zip(quota.place, values, strict=True)):
        return None
    return Place(*(None if want is None else value for want, value in zip(quota.place, values, strict=True)))


def expected_places(quota: Quota, nodes: Sequence[TaxonomyNode]) -> Iterator[Place]:
    """All parts that a quota tells apart, as far as they are known without records: kinds are for examples alone, and of styles nobody
    knows which ones a domain has."""
    if quota.style == EACH or (quota.kind == EACH and quota.dataset != "sft"):
        return
    kinds = SFT_KINDS if quota.kind == EACH else (quota.kind,)
    levels = KNOWN["difficulty"] if quota.difficulty == EACH else (quota.difficulty,)
    there = sorted(nodes, key=lambda node: (CATEGORIES.index(node.category), node.key))
    wanted = (quota.category, quota.domain, quota.node)
    heads = [
        tuple(None if want is None else value for want, value in zip(wanted, values, strict=True))
        for values in ((node.category, node.part, node.key) for node in there)
        if all(want in (None, EACH, value) for want, value in zip(wanted, values, strict=True))
    ]
    if not heads and EACH not in wanted:
        heads = [wanted]
    for (category, domain, node), level, kind in product(dict.fromkeys(heads), levels, kinds):
        yield Place(category, domain, node, level, kind, quota.style)
