"""A recording made from a ledger: what was paid for once is replayed by task, without key, money or network."""

from pathlib import Path

from castalia.oracle.ledger import Ledger
from castalia.oracle.providers import provider_class
from castalia.oracle.providers.base import UnreadableAnswer
from castalia.records import canonical_json


def write_recording(ledger: Ledger, path: Path) -> int:
    """Writes one line per answered task, sorted by task; returns how many.

    Where a task was asked again (a repair, another model or wording), its latest answer is written. Answers that asked for tools are left
    out: a recording has no place for them.
    """
    temporary = path.with_name(path.name + ".part")
    count = 0
    with temporary.open("w", encoding="utf-8") as file:
        for key in ledger.latest_answers():
            call = ledger.call(key)
            if call.raw is None:
                continue
            try:
                said = provider_class(call.provider).read(call.raw)
            except UnreadableAnswer:
                continue  # nothing a recording could replay; the ledger keeps the bytes
            if said.tool_calls_json:
                continue
            line = {
                "prompt": call.prompt, "subject": call.subject, "sample": call.sample, "prompt_sha256": call.prompt_sha256,
                "text": said.text, "model": call.answered_model or call.model, "recorded_for": f"{call.provider} {call.model}",
                "tokens_in": call.tokens_in, "tokens_out": call.tokens_out,
            }  # fmt: skip
            file.write(canonical_json(line) + "\n")
            count += 1
    temporary.replace(path)
    return count
