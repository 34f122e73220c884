"""Tasks nobody has answered yet, written so that a person can."""

import json
from collections.abc import Iterable
from pathlib import Path

from castalia.oracle.calls import MissingCall
from castalia.records import canonical_json


def write_pending(missing: Iterable[MissingCall], path: Path) -> int:
    """Writes one JSON line per missing call, sorted by task; returns how many.

    Fill `answer` (JSON that fits `answer_schema`), or replace it by `text` where no schema is given, and move the line into a
    `*.jsonl` of the recordings folder. The file itself, when it is called pending.jsonl, is never read as a recording.
    """
    lines = {(call.task.prompt, call.task.subject, call.sample): _line(call) for call in missing}
    temporary = path.with_name(path.name + ".part")
    temporary.write_text("".join(lines[task] + "\n" for task in sorted(lines)), encoding="utf-8")
    temporary.replace(path)
    return len(lines)


def _line(call: MissingCall) -> str:
    return canonical_json(
        {
            "prompt": call.task.prompt,
            "subject": call.task.subject,
            "sample": call.sample,
            "prompt_sha256": call.task.prompt_sha256,
            "stage": call.task.stage,
            "role": call.role,
            "system": call.system,
            "user": call.user,
            "answer_schema": json.loads(call.schema) if call.schema else None,
            "answer": None,
        }
    )
