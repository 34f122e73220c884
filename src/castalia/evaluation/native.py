# pyright: basic
"""The same questions through a model's own chat template, scored on the whole text.

A base model that never saw Harmony fails every Harmony item by form alone. This score shows what it knows anyway, so that a
reader can see how much of a gain is format. It informs and never decides: the gate takes Harmony results only.
"""

import time
from collections.abc import Sequence
from pathlib import Path

from castalia.errors import InputError
from castalia.evaluation.results import ItemResult
from castalia.evaluation.run import OnProgress, result_of
from castalia.evaluation.targets.decode import batches, decode, row_of
from castalia.evaluation.targets.local import CPU_CELLS, CPU_ROWS, GPU_CELLS, GPU_ROWS, load_model, own_stops
from castalia.records import SuiteItem
from castalia.sandbox import Sandbox
from castalia.scoring import score
from castalia.store import folder_hash


def evaluate_native(
    target_folder: Path,
    items: Sequence[SuiteItem],
    *,
    sandbox: Sandbox | None,
    seed: int = 0,
    temperature: float = 0.0,
    dtype: str = "auto",
    on_progress: OnProgress = lambda done, total: None,
) -> list[ItemResult]:
    """One result per item, in order, with style `native`. Items with tools can't be asked this way and have value 0.

    Raises InputError when the folder is no model or its tokenizer has no chat template.
    """
    model, tokenizer, precision = load_model(target_folder, dtype)
    if not tokenizer.chat_template:
        raise InputError(
            f"model folder {target_folder.name!r} has no chat template, so it has no native form to ask in; leave this score out"
        )
    stops = own_stops(model, tokenizer)
    identity = f"{folder_hash(target_folder)[:16]} transformers {model.device.type} {precision}"
    answers: dict[str, tuple[str, int, float]] = {}
    asked = [item for item in items if not item.prompt.tools]
    rows = {id(row): (item, row) for item in asked for row in [row_of(_prompt(item, tokenizer), item.max_tokens, seed, 0)]}
    limits = (CPU_ROWS, CPU_CELLS) if model.device.type == "cpu" else (GPU_ROWS, GPU_CELLS)
    for batch in batches([row for _, row in rows.values()], *limits):
        begun = time.monotonic()
        decode(model, batch, stops, temperature)
        share = (time.monotonic() - begun) / len(batch)
        for row in batch:
            answers[rows[id(row)][0].id] = (tokenizer.decode(row.ids, skip_special_tokens=True).strip(), len(row.ids), share)
        on_progress(len(answers) + len(items) - len(asked), len(items))
    return [_graded(item, answers.get(item.id), identity, seed, sandbox) for item in items]


def _prompt(item: SuiteItem, tokenizer) -> list[int]:
    system = [{"role": "system", "content": item.prompt.instructions}] if item.prompt.instructions else []
    said = [{"role": m.role, "content": m.content} for m in item.prompt.messages if m.role == "user" or m.channel == "final"]
    return tokenizer.apply_chat_template([*system, *said], add_generation_prompt=True, tokenize=True, return_dict=True)["input_ids"]


def _graded(item: SuiteItem, answer: tuple[str, int, float] | None, identity: str, seed: int, sandbox: Sandbox | None) -> ItemResult:
    common = {"target": identity, "style": "native", "seed": seed}
    if answer is None:
        reason = "the item needs tools, which the model's own template is not given"
        return result_of(item, **common, passed=False, value=0.0, status="not-asked", answer="", reason=reason, tokens=0)
    text, tokens, seconds = answer
    graded = score(item.check, text, sandbox=sandbox)
    return result_of(
        item,
        **common,
        passed=graded.passed,
        value=float(graded.passed),
        status="ok",
        answer=text,
        reason=graded.reason,
        tokens=tokens,
        seconds=seconds,
    )
