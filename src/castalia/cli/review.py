"""Reviewing in the terminal: one record per screen, one key per label; every label is on disk before the next record shows."""

import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from castalia.cli.common import print_facts, print_table
from castalia.quality.funnel import first_stops
from castalia.quality.labels import add_label, decisions, read_labels, second_looks, shown_to, undecided
from castalia.quality.review import STRATA
from castalia.records import LabelValue, ReviewItem, Verdict
from castalia.workspace import Workspace

KEYS = {"a": "approve", "r": "reject", "f": "flag", "s": "skip", "u": "undo", "q": "quit"}
_LABELS: Mapping[str, LabelValue] = {"a": "approve", "r": "reject", "f": "flag"}
_LONGEST_EXCERPT = 60
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def list_waiting(workspace: Workspace, queue: Sequence[ReviewItem], *, as_json: bool) -> int:
    """Prints the records that no label decides, those most in need of a person first, and what people decided so far."""
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
    decided = decisions(labels)
    approved = sum(value == "approve" for value in decided.values())
    second = len(second_looks(queue, labels))
    print(
        f"\n{len(waiting)} of {len(queue)} records wait, {second} for a second person; people approved {approved} and rejected {len(decided) - approved}"
    )
    print("review them with: castalia review --reviewer NAME" if waiting else "nothing is left to review")
    return 0


def review_interactively(workspace: Workspace, queue: Sequence[ReviewItem], *, reviewer: str) -> int:
    """Asks for a label on each record this reviewer has not labeled yet. Verdicts stay hidden until the label is given."""
    path = workspace.labels
    waiting = shown_to(reviewer, queue, read_labels(path))
    verdicts = _verdicts(workspace, {item.record for item in waiting})
    position = 0
    while position < len(waiting):
        item = waiting[position]
        found = workspace.store.find(item.record)
        print(f"\n--- {position + 1} of {len(waiting)} · {item.dataset} · {item.category} · {item.record}")
        print("(no longer in the store)" if found is None else _show(workspace, found.row))
        key = _ask(" ".join(f"[{key}]{word[1:]}" for key, word in KEYS.items()))
        if key == "q":
            break
        if key == "u":
            position = max(0, position - 1)
            add_label(path, waiting[position].record, reviewer, "undone")
            continue
        if key in _LABELS:
            add_label(path, item.record, reviewer, _LABELS[key])
            print(_what_follows(verdicts.get(item.record, ()), _LABELS[key]))
        position += 1
    labels = read_labels(path)
    remaining = len(shown_to(reviewer, queue, labels))
    print(f"{remaining} records wait for {reviewer}, {len(undecided(queue, labels))} for anybody; labels are in {path}")
    print("rejected records stay out of the next release: castalia release")
    return 0


def _what_follows(verdicts: Sequence[Verdict], label: LabelValue) -> str:
    """What checks had said, now that it can't sway the reviewer, and what the label does to that."""
    said = ", ".join(f"{verdict.check} {verdict.outcome}" for verdict in verdicts if verdict.outcome != "pass") or "every check passed"
    stop = first_stops([verdict for verdict in verdicts if verdict.outcome != "abstain" or label != "approve"], ()).get(
        verdicts[0].record if verdicts else ""
    )
    if label == "reject":
        return f"({said}; the record stays out of releases)"
    if label == "approve" and stop is not None:
        return f"({said}; it stays out all the same: {stop}, which no approval overrides: {stop.reason})"
    return f"({said})"


def _verdicts(workspace: Workspace, records: set[str]) -> dict[str, list[Verdict]]:
    found: dict[str, list[Verdict]] = {}
    for verdict in workspace.store.read_dataset("verdicts", Verdict) if workspace.store.has("verdicts") else ():
        if verdict.record in records:
            found.setdefault(verdict.record, []).append(verdict)
    return {record: sorted(said, key=lambda verdict: (verdict.layer, verdict.check)) for record, said in found.items()}


def _excerpt(workspace: Workspace, record: str) -> str:
    """The beginning of the question, in one line."""
    found = workspace.store.find(record)
    if found is None:
        return "(no longer in the store)"
    text = " ".join(_plain(_messages(found.row)[0]["content"]).split()) if _messages(found.row) else ""
    return text if len(text) <= _LONGEST_EXCERPT else text[: _LONGEST_EXCERPT - 3] + "..."


def _messages(row: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    return (row.get("conversation") or row.get("prompt") or {"messages": ()})["messages"]


def _show(workspace: Workspace, row: Mapping[str, Any]) -> str:
    """The parts a person judges, and the text of the blocks that the record cites."""
    lines: list[str] = []
    for message in _messages(row):
        channel = f" {message['channel']}" if message["channel"] else ""
        lines.append(f"[{message['role']}{channel}] {message['content']}")
    for name in ("chosen", "rejected"):
        if name in row:
            lines.append(f"[{name}] {row[name]['text']}")
    for name in ("reference", "wrong", "practise"):
        if row.get(name):
            lines.append(f"[{name}] {row[name]}")
    for evidence in row.get("evidence") or ():
        lines.append(f"(cites {evidence['url']} blocks {list(evidence['blocks'])})")
        document = workspace.store.find(evidence["document"])
        blocks: list[Any] = document.row["blocks"] if document else []
        cited: list[str] = [blocks[number]["text"] for number in evidence["blocks"] if 0 <= number < len(blocks)]
        lines += [f"    | {line}" for text in cited for line in text.splitlines()]
    return _plain("\n".join(lines))


def _plain(text: str) -> str:
    """Without characters that a terminal obeys: pages and models wrote this."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


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
