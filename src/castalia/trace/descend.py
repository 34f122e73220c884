"""Down: everything that was made from a record, or from one answer of the oracle, and what quality control and people said of it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from castalia.records import Label
from castalia.trace.links import Child, Links
from castalia.trace.steps import Step

# What was said of a record is shown with it, not below it.
_SAID = ("verdict", "review", "label", "leak")


def descend(links: Links, labels: Sequence[Label], source: str, depth: int) -> Iterator[Step]:
    """What was made from `source` (a record id or a call's key) at `depth`, what was made from that below it, each record once."""
    return _below(links, labels, links.below(source), depth, {source})


def said(links: Links, labels: Sequence[Label], identity: str) -> dict[str, Any]:
    """What checks and people said of a record: `checks` counts passes and names the others; empty where nothing was."""
    return _said(links.below(identity), labels, identity)


def _below(links: Links, labels: Sequence[Label], children: Sequence[Child], depth: int, seen: set[str]) -> Iterator[Step]:
    for child in children:
        if child.identity not in seen and not _is_said(child):
            seen.add(child.identity)
            named = {"name": child.name} if child.name else {}
            below = links.below(child.identity)
            yield Step(depth, child.dataset, child.identity, named | _said(below, labels, child.identity))
            yield from _below(links, labels, below, depth + 1, seen)


def _said(children: Sequence[Child], labels: Sequence[Label], identity: str) -> dict[str, Any]:
    verdicts = [child.name for child in children if child.identity.startswith("verdict_")]
    outcomes = Counter(name.rpartition(" ")[2] for name in verdicts)
    others = sorted(name for name in verdicts if not name.endswith(" pass"))
    people = sorted(f"{label.reviewer}: {label.label}" for label in labels if label.record == identity)
    facts = {"checks": ", ".join([f"{outcomes['pass']} passed", *others]) if verdicts else "", "people": ", ".join(people)}
    return {name: value for name, value in facts.items() if value}


def _is_said(child: Child) -> bool:
    return child.identity.rpartition("_")[0] in _SAID
