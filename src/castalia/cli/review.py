"""Reviewing in the terminal: one record per screen, one key per label; every label is on disk before the next record shows."""

import sys
from collections.abc import Mapping

from castalia.cli.common import plain, print_facts, print_table
from castalia.quality import gold
from castalia.quality.labels import add_label, decisions, read_labels, second_looks, undecided
from castalia.quality.review import STRATA
from castalia.records import LabelValue
from castalia.summary.material import Material, material, question
from castalia.summary.reviewing import Review
from castalia.workspace import Workspace

KEYS = {"a": "approve", "r": "reject", "f": "flag", "s": "skip", "u": "undo", "q": "quit"}
_LABELS: Mapping[str, LabelValue] = {"a": "approve", "r": "reject", "f": "flag"}
_LONGEST_EXCERPT = 60


def list_waiting(review: Review, *, as_json: bool) -> int:
    """Prints the records that no label decides, those most in need of a person first, and what people decided so far."""
    workspace, queue = review.workspace, review.queue
    labels = read_labels(workspace.labels)
    order = list(STRATA)
    waiting = sorted(undecided(queue, labels), key=lambda item: (order.index(item.stratum), item.dataset, item.record))
    if as_json:
        print_facts(item.to_row() | {"labels": [f"{x.reviewer}: {x.label}" for x in labels if x.record == item.record]} for item in waiting)
        return 0
    rows = [(item.record, item.dataset, item.category, item.stratum, _excerpt(workspace, item.record)) for item in waiting]
    print_table(("record", "dataset", "category", "drawn as", "question"), rows)
    print("\ndrawn as, by what checks and judges said:")
    print_table(("", "records", "means"), ((f"  {name}", sum(item.stratum == name for item in waiting), STRATA[name]) for name in order))
    records = [item for item in queue if item.stratum != gold.STRATUM]
    planted = {item.record for item in queue} - {item.record for item in records}
    decided = {record: value for record, value in decisions(labels).items() if record not in planted}
    approved = sum(value == "approve" for value in decided.values())
    second = len(second_looks(queue, labels))
    print(
        f"\n{len(waiting)} of {len(records)} records wait, {second} for a second person; people approved {approved} and rejected {len(decided) - approved}"
    )
    print("review them with: castalia review --page, or here: castalia review --reviewer NAME" if waiting else "nothing is left to review")
    return 0


def review_interactively(review: Review, *, reviewer: str) -> int:
    """Asks for a label on each record this reviewer has not labeled yet. Verdicts stay hidden until the label is given."""
    path = review.workspace.labels
    skipped: set[str] = set()
    given, again = 0, ""
    while True:
        item, waiting = review.next(reviewer, skipped, again)
        if item is None:
            break
        print(f"\n--- {given + 1} of {given + waiting} · {item.dataset} · {item.category} · {item.record.rpartition('_')[2]}")
        found = material(review.workspace, item.record)
        print("(no longer in the store)" if found is None else _show(found))
        key = _ask(" ".join(f"[{key}]{word[1:]}" for key, word in KEYS.items()))
        if key == "q":
            break
        again = ""
        if key == "s":
            skipped.add(item.record)
        elif key == "u":
            last = review.last(reviewer)
            if last is None:
                print(f"{reviewer} has no label to take back")
                continue
            add_label(path, last.record, reviewer, "undone")
            skipped.discard(last.record)
            given, again = max(0, given - 1), last.record
        else:
            add_label(path, item.record, reviewer, _LABELS[key])
            print(f"({plain(review.told(item.record, _LABELS[key]))})")
            given += 1
    left = undecided(review.queue, read_labels(path))
    print(f"{len(review.waiting(reviewer))} records wait for {reviewer}, {len(left)} for anybody; labels are in {path}")
    print("rejected records stay out of the next release: castalia release")
    return 0


def _excerpt(workspace: Workspace, record: str) -> str:
    """The beginning of the question, in one line."""
    found = workspace.store.find(record)
    if found is None:
        return "(no longer in the store)"
    text = " ".join(plain(question(found.row)).split())
    return text if len(text) <= _LONGEST_EXCERPT else text[: _LONGEST_EXCERPT - 3] + "..."


def _show(found: Material) -> str:
    """The parts a person judges, and the text of the blocks that the record cites."""
    lines = [f"[{who}] {text}" for who, text in found.parts]
    for source in found.sources:
        cited = [block for block in source.blocks if block.cited]
        lines.append(f"(cites {source.url} blocks {[block.number for block in cited]})")
        lines += [f"    | {line}" for block in cited for line in block.text.splitlines()]
    return plain("\n".join(lines))


def _ask(prompt: str) -> str:
    """One of KEYS; the end of the input quits."""
    while True:
        print(prompt, end=" > ", flush=True)
        line = sys.stdin.readline()
        if not line:
            return "q"
        key = line.strip().lower()[:1]
        if key in KEYS:
            return key
        print(f"{line.strip()!r} is not a key; keys are {', '.join(KEYS)}")
