"""Reviewing in the terminal: one record per screen, one key per label; every label is on disk before the next record shows."""

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from castalia.records import ReviewItem
from castalia.workspace import Workspace

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
            continue
        if key != "s":
            add_label(
                labels,
                {"record": item.record, "reviewer": reviewer, "label": KEYS[key], "at": datetime.now(UTC).isoformat(timespec="seconds")},
            )
        position += 1
    remaining = len({item.record for item in queue} - {label["record"] for label in read_labels(labels) if label["reviewer"] == reviewer})
    print(f"{remaining} records wait for {reviewer}; labels are in {labels}")
    return 0


def read_labels(path: Path) -> list[dict[str, Any]]:
    """All labels in the order given; a later label of one reviewer on a record replaces the earlier."""
    if not path.is_file():
        return []
    latest: dict[tuple[str, str], dict[str, Any]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        label = json.loads(line)
        latest[label["record"], label["reviewer"]] = label
    return list(latest.values())


def add_label(path: Path, label: dict[str, Any]) -> None:
    """Appends one label and flushes it to the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(label, ensure_ascii=False, sort_keys=True) + "\n")
        file.flush()


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
