"""Lint of a training file, line by line: JSON lines with `messages`, or with token ids and a mask.

A line is `{"messages": [...], "tools": [...]}` as the OpenAI API writes them, or `{"input_ids": [...], "labels": [...]}`
(-100 where not trained), or `{"ids": [...], "mask": [...]}`. A broken line is a finding with its number; the rest goes on.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from castalia.errors import InputError
from castalia.harmony.convert import from_openai_messages
from castalia.harmony.findings import Finding, LintReport, error
from castalia.harmony.gpt_oss import gpt_oss_vocabulary
from castalia.harmony.lint_messages import lint_rendered
from castalia.harmony.lint_tokens import emitted, lint_samples
from castalia.harmony.samples import Sample
from castalia.harmony.style import Style
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
        if "messages" in fields:
            conversation = from_openai_messages(_objects(fields, "messages"), _objects(fields, "tools"))
            return lint_rendered(conversation, vocabulary, style, max_tokens)
        sample = _rendered(fields)
    except InputError as problem:
        return [error("bad-line", str(problem))], []
    return lint_samples([sample], vocabulary, max_tokens), [sample]


def _objects(fields: dict[str, Any], key: str) -> list[dict[str, Any]]:
    value = fields.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in cast("list[Any]", value)):
        raise InputError(f"{key!r} is {repr(cast('object', value))[:60]}, a list of objects is needed")
    return cast("list[dict[str, Any]]", value)


def _rendered(fields: dict[str, Any]) -> Sample:
    ids: Any = fields.get("input_ids", fields.get("ids"))
    labels: Any = fields.get("labels")
    mask: Any = [label != -100 for label in cast("list[Any]", labels)] if isinstance(labels, list) else fields.get("mask")
    if not isinstance(ids, list) or not isinstance(mask, list):
        raise InputError(f"the line has the keys {sorted(fields)}: give 'messages', or 'input_ids' and 'labels', or 'ids' and 'mask'")
    tokens, trained = cast("list[Any]", ids), [bool(value) for value in cast("list[Any]", mask)]
    if not all(isinstance(token, int) for token in tokens) or len(tokens) != len(trained):
        raise InputError(f"{len(tokens)} ids and {len(trained)} mask values: give as many whole numbers as mask values")
    return Sample(tokens, trained, [float(value) for value in trained], ["context"] * len(tokens))
