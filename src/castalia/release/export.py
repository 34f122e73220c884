"""A release in the layout of a hub or trainer.

The papers that name files (card, Croissant metadata, lock) name those of the layout, so that `datasets.load_dataset` reads every layout
by the names in its card, and `verify_release` checks an export like a release.
"""

import errno
import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from castalia.errors import InputError, ReleaseRefused, StorageFull, StoreError
from castalia.release.croissant import described
from castalia.release.layouts import prime_rl_files, trl_files
from castalia.release.publish import find_release, verify_release

Layout = Literal["hub", "trl", "prime-rl", "jsonl"]
_PAPERS = ("ATTRIBUTION.md", "balance.json", "provenance.parquet")
_SETS = ("sft", "preferences", "rewards", "replay")
_CONFIGS: Mapping[Layout, Mapping[str, str]] = {
    "hub": {name: f"data/{name}.parquet" for name in _SETS},
    "jsonl": {name: f"data/{name}.jsonl" for name in _SETS},
    "trl": {name: f"{name}.jsonl" for name in _SETS},
    "prime-rl": {"sft": "sft.jsonl", "rl": "rl.jsonl"},
}
"""What `datasets.load_dataset(FOLDER, NAME)` reads, by name. It reads one format per folder, so TRL's Parquet of tokens is named by path."""


def export_release(folder: Path, release: str, layout: Layout, out: Path) -> list[str]:
    """Copies a release to `out`, which must not exist; returns the names of the files.

    hub: card, papers and Parquet, as dataset hubs and `datasets.load_dataset` read them. jsonl: rows as JSON lines. trl: what TRL's
    trainers take (`messages`, or token ids with `labels`; `prompt`/`chosen`/`rejected`; `prompt`). prime-rl: `prompt`/`completion` for
    its SFT, and `prompt`/`answer`/`info`/`task` for environments of verifiers.
    Attribution travels with every layout. Raises InputError, or ReleaseRefused when the release was changed after it was made.
    """
    source = find_release(folder, release)
    wrong = verify_release(source)
    if wrong:
        raise ReleaseRefused(f"release {source.name!r} is not what was released: {wrong[0]}; make it again with `castalia release`")
    if out.exists():
        raise InputError(f"{str(out)!r} exists already; name a folder that does not")
    files = _files(source, layout)
    unfinished = out.with_name(f".{out.name}.unfinished")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        for name, content in files.items():
            path = unfinished / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        unfinished.rename(out)
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        kind = StorageFull if error.errno == errno.ENOSPC else StoreError
        raise kind(f"{source.name!r} can't be exported to {str(out)!r}: {error.strerror}; nothing was left behind") from error
    return sorted(files)


def _files(source: Path, layout: Layout) -> dict[str, bytes]:
    """File names with their content."""
    files = {name: (source / name).read_bytes() for name in _PAPERS}
    if layout == "trl":
        files |= trl_files(source)
    elif layout == "prime-rl":
        files |= prime_rl_files(source)
    else:
        files |= {name: (source / name).read_bytes() for name in _CONFIGS[layout].values()}
    files["README.md"] = _card((source / "README.md").read_text(encoding="utf-8"), _CONFIGS[layout]).encode()
    files["croissant.json"] = _json(described(json.loads((source / "croissant.json").read_bytes()), files))
    released = (source / "lock.json").read_bytes()
    lock = {
        "release": {"name": source.name, "lock": hashlib.sha256(released).hexdigest()},
        "layout": layout,
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())},
        "datasets": json.loads(released)["datasets"],
    }
    return files | {"lock.json": _json(lock)}


def _card(text: str, configs: Mapping[str, str]) -> str:
    """The card with the files of a layout in its metadata header."""
    _, header, body = text.split("---\n", 2)
    kept = [line for line in header.splitlines() if not line.startswith(("configs:", "- config_name:", "  data_files:"))]
    lines = [line for name, path in configs.items() for line in (f"- config_name: {name}", f"  data_files: {path}")]
    return "\n".join(["---", "configs:", *lines, *kept, "---", body])


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
