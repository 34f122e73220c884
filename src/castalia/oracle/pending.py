"""Tasks nobody has answered yet, written so that a person can; and their answers, taken in."""

import json
from collections.abc import Iterable
from pathlib import Path

from castalia.errors import InputError
from castalia.oracle.calls import MissingCall
from castalia.oracle.recordings import load_recordings, read_recordings
from castalia.records import canonical_json


def write_pending(missing: Iterable[MissingCall], path: Path) -> int:
    """Writes one JSON line per missing call, sorted by task; returns how many.

    Fill `answer` (JSON that fits `answer_schema`), or replace it by `text` where no schema is given, and move the line into a
    `*.jsonl` of the recordings folder. The file itself, when it is called pending.jsonl, is never read as a recording.
    """
    lines = {(call.task.prompt, call.task.subject, call.sample): _line(call) for call in missing}
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".part")
    temporary.write_text("".join(lines[task] + "\n" for task in sorted(lines)), encoding="utf-8")
    temporary.replace(path)
    return len(lines)


def import_recordings(answered: Path, folder: Path) -> int:
    """Adds the answered lines of a pending file to `imported.jsonl` of a recordings folder; returns how many.

    Lines that are still unanswered are left where they are. Raises InputError, and adds nothing, when the file can't be read, a line
    can't be used or a task has an answer already.
    """
    try:
        text = answered.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"answers {str(answered)!r} can't be read: {error.strerror}") from error
    # Not splitlines: JSON text may hold U+2028 unescaped.
    lines = [(line, f"{answered}:{number}") for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    filled = [(line, place) for line, place in lines if not _is_open(line, place)]
    new = read_recordings([(line.encode(), place) for line, place in filled])
    known = load_recordings(folder).by_task if folder.is_dir() else None
    for task in sorted(new):
        if known is not None and task in known:
            raise InputError(f"task {task!r} has a recorded answer in {known[task].place} already; remove one of the two")
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "imported.jsonl"
    before = target.read_text(encoding="utf-8") if target.exists() else ""
    temporary = target.with_name(target.name + ".part")
    temporary.write_text(before + "".join(line + "\n" for line, _ in filled), encoding="utf-8")
    temporary.replace(target)
    return len(filled)


def _is_open(line: str, place: str) -> bool:
    try:
        fields = json.loads(line)
        return fields.get("answer") is None and fields.get("text") is None
    except (ValueError, AttributeError) as error:
        raise InputError(f"{place} is no JSON object: {error}; repair or remove the line") from error


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
