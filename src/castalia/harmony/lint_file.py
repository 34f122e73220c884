"""Lint of a training file, line by line: JSON lines with messages, or with token ids and a mask.

A line has `messages` as the OpenAI API, TRL or a release writes them, `prompt` and `completion`, or `conversations` in the
ShareGPT form; or `input_ids` with `labels` (-100 where not trained) or with `loss_mask`; or `ids` with `mask`. A broken line is a
finding with its number; the rest goes on.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from castalia.errors import InputError
from castalia.harmony.findings import Finding, LintReport, error
from castalia.harmony.gpt_oss import gpt_oss_vocabulary
from castalia.harmony.lint_messages import lint_rendered
from castalia.harmony.lint_tokens import emitted, lint_samples
from castalia.harmony.samples import Sample
from castalia.harmony.sharegpt import from_sharegpt
from castalia.harmony.style import Style
from castalia.harmony.trl import from_trl
from castalia.harmony.vocabulary import Vocabulary


def lint_file(path: Path, max_tokens: int | None = None, *, vocabulary: Vocabulary | None = None, style: Style | None = None) -> LintReport:
    """What is wrong with a JSONL file of training data; by default for GPT-OSS. Raises InputError when it can't be read."""
    vocabulary = vocabulary or gpt_oss_vocabulary()
    lines = samples = emit = trained = 0
    findings: list[Finding] = []
    for number, raw in _lines(path):
        lines += 1
        found, rendered = _line(raw, vocabulary, style, max_tokens)
        findings += [finding.model_copy(update={"line": number}) for finding in found]
        for sample in rendered:
            expected = emitted(sample.ids, vocabulary)
            samples += 1
            emit += sum(expected)
            trained += sum(want and has for want, has in zip(expected, sample.mask, strict=True))
    return LintReport(file=path.name, lines=lines, samples=samples, emit_tokens=emit, trained_tokens=trained, findings=tuple(findings))


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            yield from ((number, line) for number, line in enumerate(file, start=1) if line.strip())
    except OSError as problem:
        raise InputError(f"training file {str(path)!r} can't be read: {problem.strerror}; give a JSONL file") from problem


def _line(raw: bytes, vocabulary: Vocabulary, style: Style | None, max_tokens: int | None) -> tuple[list[Finding], list[Sample]]:
    try:
        row: Any = json.loads(raw)
    except (ValueError, RecursionError) as problem:
        return [error("bad-line", f"no JSON: {problem}")], []
    if not isinstance(row, dict):
        return [error("bad-line", f"a JSON object is needed, got {raw[:40]!r}")], []
    fields = cast("dict[str, Any]", row)
    try:
        if "conversations" in fields:
            return lint_rendered(from_sharegpt(fields), vocabulary, style, max_tokens)
        if "messages" in fields or "prompt" in fields:
            return lint_rendered(from_trl(fields), vocabulary, style, max_tokens)
        sample = _rendered(fields)
    except InputError as problem:
        return [error("bad-line", str(problem))], []
    return lint_samples([sample], vocabulary, max_tokens), [sample]


def _rendered(fields: dict[str, Any]) -> Sample:
    ids: Any = fields.get("input_ids", fields.get("ids"))
    labels: Any = fields.get("labels")
    mask: Any = fields.get("loss_mask", fields.get("mask"))
    if isinstance(labels, list):
        mask = [label != -100 for label in cast("list[Any]", labels)]
    if not isinstance(ids, list) or not isinstance(mask, list):
        raise InputError(f"the line has the keys {sorted(fields)}: give 'messages' or 'conversations', or 'input_ids' and 'labels'")
    tokens, trained = cast("list[Any]", ids), [bool(value) for value in cast("list[Any]", mask)]
    if not all(isinstance(token, int) for token in tokens) or len(tokens) != len(trained):
        raise InputError(f"{len(tokens)} ids and {len(trained)} mask values: give as many whole numbers as mask values")
    return Sample(tokens, trained, [float(value) for value in trained], ["context"] * len(tokens))
