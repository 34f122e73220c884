"""A release in the layout of a hub or trainer."""

import json
import shutil
from pathlib import Path
from typing import Any, Literal

from castalia.errors import InputError, ReleaseRefused, StoreError
from castalia.release.publish import all_releases, released_versions, verify_release

Layout = Literal["hub", "trl", "jsonl"]
_PAPERS = ("README.md", "ATTRIBUTION.md", "provenance.parquet", "lock.json")


def export_release(folder: Path, release: str, layout: Layout, out: Path) -> list[str]:
    """Copies a release to `out`, which must not exist; returns the names of the files.

    hub: card, papers and Parquet, as dataset hubs and `datasets.load_dataset` read them. jsonl: rows as JSON lines. trl: JSON lines
    with the columns TRL's trainers take (`input_ids`/`labels`; `prompt`/`chosen`/`rejected`; `prompt`).
    Attribution travels with every layout. Raises InputError, or ReleaseRefused when the release was changed after it was made.
    """
    source = folder / release if "@v" in release else next(reversed(released_versions(folder, release)), folder / f"{release}@v?")
    if source not in all_releases(folder):
        known = ", ".join(path.name for path in all_releases(folder)) or "none"
        raise InputError(f"there is no release {release!r}; releases: {known}")
    wrong = verify_release(source)
    if wrong:
        raise ReleaseRefused(f"release {source.name!r} is not what was released: {wrong[0]}; make it again with `castalia release`")
    if out.exists():
        raise InputError(f"{str(out)!r} exists already; name a folder that does not")
    chosen = _files(source, layout)
    unfinished = out.with_name(f".{out.name}.unfinished")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        for name, content in chosen.items():
            path = unfinished / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                shutil.copyfile(source / name, path)
            else:
                path.write_text(content, encoding="utf-8")
        unfinished.rename(out)
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise StoreError(f"{source.name!r} can't be exported to {str(out)!r}: {error.strerror}; nothing was left behind") from error
    return sorted(chosen)


def _files(source: Path, layout: Layout) -> dict[str, str | None]:
    """File names, with their text where it is not simply copied."""
    papers: dict[str, str | None] = dict.fromkeys(_PAPERS)
    ending = "parquet" if layout == "hub" else "jsonl"
    if layout in ("hub", "jsonl"):
        return {**papers, **{f"data/{path.name}": None for path in sorted((source / "data").glob(f"*.{ending}"))}}
    rows = {
        path.stem: [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
        for path in (source / "data").glob("*.jsonl")
    }
    return {
        **papers,
        "tokens/sft.parquet": None,
        "sft.jsonl": _lines([{"messages": _chat(row["messages"])} for row in rows["sft"]]),
        "replay.jsonl": _lines([{"messages": _chat(row["messages"])} for row in rows["replay"]]),
        "preferences.jsonl": _lines([{name: _chat(row[name]) for name in ("prompt", "chosen", "rejected")} for row in rows["preferences"]]),
        "rewards.jsonl": _lines(
            [{"prompt": _chat(row["prompt"]), "reference": row["reference"], "check": row["check"]} for row in rows["rewards"]]
        ),
    }


def _chat(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """TRL messages: analysis goes into `thinking` of the message that follows it, calls into `tool_calls`."""
    turned: list[dict[str, Any]] = []
    thinking = ""
    for message in messages:
        if message["role"] == "assistant" and message["channel"] == "analysis" and not message["recipient"]:
            thinking = message["content"]
            continue
        chat: dict[str, Any] = {"role": message["role"], "content": message["content"]}
        if message["role"] == "tool":
            chat["name"] = message["name"].removeprefix("functions.")
        if message["recipient"]:
            call = {"name": message["recipient"].removeprefix("functions."), "arguments": json.loads(message["content"])}
            chat = {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": call}]}
        if message["role"] == "assistant" and thinking:
            chat["thinking"], thinking = thinking, ""
        turned.append(chat)
    return turned


def _lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows)
