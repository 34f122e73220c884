"""Lint of a training file, row by row. A broken row is a finding with its number; the rest goes on."""

from collections import Counter
from pathlib import Path
from typing import Final

from castalia.errors import InputError
from castalia.harmony.files import FileRow, read_rows
from castalia.harmony.findings import CodeCount, Finding, LintReport, error, warning
from castalia.harmony.gpt_oss import gpt_oss_vocabulary
from castalia.harmony.lint_messages import lint_rendered
from castalia.harmony.lint_tokens import EVERY_DIALECT, Linted, lint_counted
from castalia.harmony.rows import held, ignored_keys
from castalia.harmony.style import Style
from castalia.harmony.vocabulary import Vocabulary

MOST_FINDINGS: Final = 1000
"""So many are kept in a report; the others are counted."""


def lint_file(path: Path, max_tokens: int | None = None, *, vocabulary: Vocabulary | None = None, style: Style | None = None) -> LintReport:
    """What is wrong with a file of training data; by default for GPT-OSS. `-` is standard input.

    Conversations are rendered in `style`; where one is given, samples that were rendered elsewhere must have its dialect. Raises
    InputError when the file can't be read at all.
    """
    vocabulary = vocabulary or gpt_oss_vocabulary()
    lines = unreadable = samples = emit = trained = 0
    findings: list[Finding] = []
    counts: Counter[tuple[str, str]] = Counter()
    ignored: set[str] = set()
    dialects = EVERY_DIALECT
    for row in read_rows(path):
        lines += 1
        parts = _row(row, vocabulary, style, max_tokens)
        found = [finding for part in parts for finding in part.findings]
        unreadable += any(finding.code == "bad-line" for finding in found)
        new = [] if row.fields is None else [key for key in ignored_keys(row.fields) if key not in ignored]
        ignored.update(new)
        found += [warning("ignored-key", f"{key!r} is set here, perhaps elsewhere, too: no conversation has a place for it") for key in new]
        for part in parts:
            if dialects and part.dialects and not dialects & part.dialects:
                found.append(_mixed(dialects, part.dialects))
            if part.dialects:  # a row that mixes them has its own finding
                dialects &= part.dialects
        for finding in found:
            counts[finding.code, finding.severity] += 1
        findings += [finding.model_copy(update={"line": row.number}) for finding in found[: MOST_FINDINGS - len(findings)]]
        samples += sum(part.samples for part in parts)
        emit += sum(part.emit for part in parts)
        trained += sum(part.trained for part in parts)
    return LintReport(
        file=path.name,
        lines=lines,
        unreadable=unreadable,
        samples=samples,
        emit_tokens=emit,
        trained_tokens=trained,
        findings=tuple(findings),
        counts=tuple(CodeCount(code=code, severity=severity, count=count) for (code, severity), count in sorted(counts.items())),
    )


def _mixed(before: frozenset[str], here: frozenset[str]) -> Finding:
    """Said once in a file: no dialect is left that later rows could break."""
    old, new = ("/".join(sorted(one)) for one in (before, here))
    return warning("mixed-dialects", f"tool calls are written in dialect {new} here and in {old} in rows before: keep to one of A to D")


def _row(row: FileRow, vocabulary: Vocabulary, style: Style | None, max_tokens: int | None) -> list[Linted]:
    if row.fields is None:
        return [Linted((error("bad-line", row.problem),))]
    try:
        what = held(row.fields, vocabulary)
    except InputError as problem:
        return [Linted((error("bad-line", str(problem)),))]
    if what.sample:
        return [lint_counted([what.sample], vocabulary, max_tokens, style.dialect if style else None)]
    conversations = what.preference.conversations if what.preference else (what.conversation,) if what.conversation else ()
    return [lint_rendered(conversation, vocabulary, style, max_tokens) for conversation in conversations]
