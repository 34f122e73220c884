"""`castalia collect URL...`: a corpus of licensed pages, alone."""

import argparse
import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from castalia.cli.common import plain, print_facts, print_table
from castalia.cli.progress import show_progress
from castalia.errors import ConfigError

_EXAMPLE = 100
"""Characters of an example."""


def collect(options: argparse.Namespace) -> int:
    """Collects, cleans and reports; the same command continues after whatever stopped it."""
    from castalia.corpus import collect_corpus, open_corpus
    from castalia.ui.corpus import write_corpus_report

    out: Path = options.out
    try:
        workspace = open_corpus(out, options.config, options.set, _settings(options))
    except ConfigError as error:
        raise ConfigError(_by_flag(str(error), options)) from error

    async def work() -> Any:
        with show_progress(as_json=options.json) as listener:
            return await collect_corpus(workspace, out, rebuild=options.rebuild, keep=options.keep, on_event=listener)

    made = asyncio.run(work())
    page = write_corpus_report(made.facts, out / "report.html")
    if options.json:
        print_facts([{"out": str(out), "ran": list(made.ran), "wrote": made.wrote, "seconds": round(made.seconds, 3), **made.facts}])
    elif not made.wrote:
        print(f"nothing to do: {out} already holds this corpus, {_documents(made.facts)}; report: {page}")
    else:
        _print(made.facts, out)
        print(f"\nreport: {page}")
    return 0


def _settings(options: argparse.Namespace) -> Mapping[str, Any]:
    """The flags as configuration; what was not given is left to the files and the defaults."""
    sources: dict[str, Any] = {
        "sites": options.urls, "licence_files": options.licence_file, "include": options.include, "exclude": options.exclude,
        "licences": _licences(options.licences), "max_pages": options.max_pages,
    }  # fmt: skip
    execution: dict[str, Any] = {"pages_per_second": options.rate, "allow_private": options.allow_private}
    sections = {"sources": sources, "execution": execution}
    return {name: {key: value for key, value in section.items() if value not in (None, [])} for name, section in sections.items()}


def _by_flag(message: str, options: argparse.Namespace) -> str:
    """The message, with a setting that was given by a flag called by the flag too."""
    for setting, flag, value in (
        ("sources.sites", "URL", options.urls),
        ("sources.licences", "--licences", options.licences),
        ("sources.max_pages", "--max-pages", options.max_pages),
        ("sources.include", "--include", options.include),
        ("sources.exclude", "--exclude", options.exclude),
        ("execution.pages_per_second", "--rate", options.rate),
        ("execution.allow_private", "--allow-private", options.allow_private),
    ):
        if value not in (None, []):
            message = message.replace(f"'{setting}'", f"{flag} ({setting})")
    return message


def _licences(given: str | None) -> str | list[str] | None:
    if given is None or given == "permissive":
        return given
    from castalia.web.licences import PERMISSIVE

    named = [name.strip() for name in given.split(",") if name.strip()]
    if not named:
        raise ConfigError(f"--licences is {given!r}; name `permissive` or SPDX ids such as MIT,CC-BY-4.0")
    return list(dict.fromkeys(spdx for name in named for spdx in (PERMISSIVE if name == "permissive" else (name,))))


def _print(facts: Mapping[str, Any], out: Path) -> None:
    print_table(
        ("stage", "in", "kept", "rejected"),
        ((step["stage"], *(step[key] for key in ("records", "kept", "rejected"))) for step in facts["steps"]),
    )
    if facts["rejected"]:
        print("\nrejected")
        print_table(
            ("host", "stage", "reason", "records", "for example"),
            ((*(item[key] for key in ("host", "stage", "reason", "count")), _example(item)) for item in facts["rejected"]),
        )
    print(f"\n{plain(_documents(facts))} in {out / 'data'}")


def _example(item: Mapping[str, Any]) -> str:
    """The first of a kind of rejects: its path, and what was wrong with it."""
    first = next(iter(item["examples"]), None)
    if first is None:
        return ""
    text = f"{first['url'].partition(item['host'])[2] or first['url']}: {first['detail']}".rstrip(": ")
    return text if len(text) <= _EXAMPLE else f"{text[: _EXAMPLE - 3]}..."


def _documents(facts: Mapping[str, Any]) -> str:
    licences = ", ".join(f"{item['spdx']} {item['documents']}" for item in facts["licences"])
    return f"{facts['documents']} documents, {facts['words']:,} words ({licences})"
