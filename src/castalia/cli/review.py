"""Reviewing in the terminal: one record per screen, one key per label; every label is on disk before the next record shows."""

import json
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from castalia.errors import InputError, StoreError
from castalia.records import ReviewItem
from castalia.workspace import Workspace

UNDONE = "undone"
KEYS = {"a": "approve", "r": "reject", "f": "flag", "s": "skip", "u": "undo", "q": "quit"}


def review_interactively(workspace: Workspace, queue: Sequence[ReviewItem], *, reviewer: str) -> int:
    """Asks for a label on each record this reviewer has not labeled yet. Verdicts stay hidden until the label is given."""
    labels = workspace.folder / "labels.jsonl"
    done = {label["record"] for label in read_labels(labels) if label["reviewer"] == reviewer}
    waiting = [item for item in queue if item.record not in done]
    position = 0
    while position < len(waiting):
        item = waiting[position]
        found = workspace.store.find(item.record)
        print(f"\n--- {position + 1} of {len(waiting)} · {item.dataset} · {item.category} · {item.record}")
        print("(no longer in the store)" if found is None else _show(found.row))
        key = _ask(" ".join(f"[{key}]{word[1:]}" for key, word in KEYS.items()))
        if key == "q":
            break
        if key == "u":
            position = max(0, position - 1)
            add_label(labels, waiting[position].record, reviewer, UNDONE)
            continue
        if key != "s":
            add_label(labels, item.record, reviewer, KEYS[key])
        position += 1
    remaining = len({item.record for item in queue} - {label["record"] for label in read_labels(labels) if label["reviewer"] == reviewer})
    print(f"{remaining} records wait for {reviewer}; labels are in {labels}")
    return 0


def read_labels(path: Path) -> list[dict[str, Any]]:
    """The labels that hold: a later one of a reviewer on a record replaces the earlier, and undoing takes it away.

    Raises InputError for a line that is no label.
    """
    if not path.is_file():
        return []
    latest: dict[tuple[str, str], dict[str, Any]] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if not line:
            continue
        try:
            label = json.loads(line)
            latest[label["record"], label["reviewer"]] = label
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"{str(path)!r} line {number} is no label: {line[:60]!r}; remove the line, its record is asked for again"
            ) from error
    return [label for label in latest.values() if label["label"] != UNDONE]


def add_label(path: Path, record: str, reviewer: str, label: str) -> None:
    """Appends one label and waits until it is on the disk. Raises StoreError when it can't be."""
    said = {"record": record, "reviewer": reviewer, "label": label, "at": datetime.now(UTC).isoformat(timespec="seconds")}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(said, ensure_ascii=False, sort_keys=True) + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise StoreError(f"the label can't be kept in {str(path)!r}: {error.strerror}; earlier labels are safe") from error


def _show(row: dict[str, Any]) -> str:
    """The parts a person judges."""
    lines: list[str] = []
    conversation: dict[str, Any] = row.get("conversation") or row.get("prompt") or {"messages": ()}
    for message in conversation["messages"]:
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
    return "\n".join(lines)


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
