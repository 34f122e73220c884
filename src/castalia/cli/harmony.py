"""`castalia harmony`: files of chat data checked, and converted."""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from castalia.cli.common import plain, print_facts, print_table
from castalia.errors import ConfigError

if TYPE_CHECKING:
    from castalia.harmony import LintReport, Style, Vocabulary

_SHOWN = 50


def harmony(options: argparse.Namespace) -> int:
    """Exit code 3 when a finding is an error or a row can't be read."""
    if getattr(options, "max_tokens", None) is not None and options.max_tokens < 1:
        raise ConfigError(f"--max-tokens is {options.max_tokens}: give at least 1")
    return {"lint": _lint, "convert": _convert}[options.action](options)


def _lint(options: argparse.Namespace) -> int:
    from castalia.harmony import lint_file

    report = lint_file(options.file, options.max_tokens, vocabulary=_vocabulary(options), style=_style(options))
    if options.json:
        print_facts([{**report.model_dump(mode="json"), "ok": report.ok, "coverage": report.coverage}])
    else:
        _print(report)
    return 0 if report.ok else 3


def _print(report: "LintReport") -> None:
    print_table(
        ("line", "severity", "code", "finding"),
        ((finding.line, finding.severity, finding.code, finding.message) for finding in report.findings[:_SHOWN]),
    )
    more = len(report.findings) + report.left_out - _SHOWN
    if more > 0:
        print(f"... and {more} more: --json lists 1000")
    for count in report.counts if report.findings[1:] else ():
        print(f"{count.count} x {count.code} ({count.severity})")
    share = "nothing to emit" if report.coverage is None else f"{100 * report.coverage:.2f} % of what the model emits is trained"
    print(f"{report.lines - report.unreadable} conversations, {report.unreadable} unreadable lines, {report.samples} samples: {share}")


def _convert(options: argparse.Namespace) -> int:
    from castalia.harmony import convert, gpt_oss_vocabulary
    from castalia.harmony.files import read_rows

    vocabulary = _vocabulary(options) or gpt_oss_vocabulary()
    read = written = broken = rejected = 0
    with _out(options.out, options.file) as out:
        for converted in convert(read_rows(options.file), options.to, vocabulary, _style(options)):
            read += 1
            broken += bool(converted.problem)
            rejected += converted.rejected
            if converted.problem:
                print(plain(f"line {converted.number}: {converted.problem}"), file=sys.stderr)
            for row in converted.rows:
                written += 1
                out.write(_line(row) + "\n")
    facts = {"read": read, "written": written, "left_out": broken, "rejected_left_out": rejected}
    said = f"{read} rows read, {written} written, {broken} left out"
    if rejected:
        said += f"; {rejected} rejected {'answer' if rejected == 1 else 'answers'} left out, which only --to trl can mark"
    print(json.dumps(facts) if options.json else said, file=sys.stdout if options.out else sys.stderr)
    return 3 if broken else 0


def _line(row: dict[str, Any]) -> str:
    """JSON as it reads best; escaped where it holds half of a character, which no file can."""
    text = json.dumps(row, ensure_ascii=False)
    return text if text.isprintable() or text.encode("utf-8", "replace").decode() == text else json.dumps(row)


@contextmanager
def _out(path: Path | None, source: Path) -> Generator[TextIO]:
    if path is None:
        yield sys.stdout
        return
    try:
        if path.exists() and source.exists() and path.samefile(source):
            raise ConfigError(f"--out {str(path)!r} is the file that is read: give another")
        with _replacing(Path(os.path.realpath(path))) as out:
            yield out
    except BrokenPipeError:
        raise
    except OSError as problem:
        raise ConfigError(f"--out {str(path)!r} can't be written: {problem.strerror or problem}") from problem


@contextmanager
def _replacing(target: Path) -> Generator[TextIO]:
    """A file that takes the target's place when everything is in it. What is no file, such as a pipe, is written as it comes."""
    if target.exists() and not target.is_file():
        with target.open("w", encoding="utf-8") as out:
            yield out
        return
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with unfinished.open("w", encoding="utf-8") as out:
            yield out
        if target.exists():
            shutil.copymode(target, unfinished)
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


def _style(options: argparse.Namespace) -> "Style | None":
    from castalia.harmony import Style

    return Style(dialect=options.dialect) if options.dialect else None


def _vocabulary(options: argparse.Namespace) -> "Vocabulary | None":
    """The tokenizer of `--tokenizer`, read from its folder only. Raises ConfigError when there is none."""
    if options.tokenizer is None:
        return None
    from castalia.harmony import foreign_vocabulary

    try:
        from transformers import AutoTokenizer

        tokenizers: Any = AutoTokenizer
    except ModuleNotFoundError as error:
        raise ConfigError("--tokenizer needs the package 'transformers', which is not installed: pip install 'castalia[train]'") from error
    try:
        tokenizer: Any = tokenizers.from_pretrained(str(options.tokenizer), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        first = (str(error).splitlines() or ["no message"])[0]
        raise ConfigError(f"--tokenizer {str(options.tokenizer)!r} holds no tokenizer that can be read: {first[:200]}") from error
    return foreign_vocabulary(tokenizer)
