"""Down: everything that was made from a record, or from one answer of the oracle, and what quality control and people said of it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from castalia.records import Label
from castalia.trace.links import Child, Links
from castalia.trace.steps import Step

# What was said of a record is shown with it, not below it.
_SAID = ("verdict", "review", "label", "leak")


def descend(links: Links, labels: Sequence[Label], source: str, depth: int, seen: set[str] | None = None) -> Iterator[Step]:
    """What was made from `source` (a record id or a call's key) at `depth`, what was made from that below it, each record once."""
    seen = {source} if seen is None else seen
    for child in links.below(source):
        if child.identity not in seen and not _is_said(child):
            seen.add(child.identity)
            named = {"name": child.name} if child.name else {}
            yield Step(depth, child.dataset, child.identity, named | said(links, labels, child.identity))
            yield from descend(links, labels, child.identity, depth + 1, seen)


def said(links: Links, labels: Sequence[Label], identity: str) -> dict[str, Any]:
    """What checks and people said of a record: `checks` counts passes and names the others; empty where nothing was."""
    verdicts = [child.name for child in links.below(identity) if child.identity.startswith("verdict_")]
    outcomes = Counter(name.rpartition(" ")[2] for name in verdicts)
    others = sorted(name for name in verdicts if not name.endswith(" pass"))
    people = sorted(f"{label.reviewer}: {label.label}" for label in labels if label.record == identity)
    facts = {"checks": ", ".join([f"{outcomes['pass']} passed", *others]) if verdicts else "", "people": ", ".join(people)}
    return {name: value for name, value in facts.items() if value}


def _is_said(child: Child) -> bool:
    return child.identity.rpartition("_")[0] in _SAID
