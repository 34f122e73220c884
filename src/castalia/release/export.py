"""A release in the layout of a hub or trainer.

The papers that name files (card, Croissant metadata, lock) name those of the layout, so that `datasets.load_dataset` reads every layout
by the names in its card, and `verify_release` checks an export like a release.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Literal

from castalia.errors import InputError, ReleaseRefused
from castalia.release.croissant import described
from castalia.release.folder import NewFolder, new_folder
from castalia.release.layouts import write_prime_rl, write_trl
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
    with new_folder(out, f"the export {out.name!r} of {source.name!r}") as filled:
        _write(filled, source, layout)
    return sorted(filled.files)


def _write(out: NewFolder, source: Path, layout: Layout) -> None:
    if layout == "trl":
        write_trl(source, out)
    elif layout == "prime-rl":
        write_prime_rl(source, out)
    copied = _CONFIGS[layout].values() if layout in ("hub", "jsonl") else ()
    for name in (*_PAPERS, *copied):
        out.write(name, _parts(source / name))
    out.write_text("README.md", _card((source / "README.md").read_text(encoding="utf-8"), _CONFIGS[layout]))
    out.write_json("croissant.json", described(json.loads((source / "croissant.json").read_bytes()), out.files))
    released = (source / "lock.json").read_bytes()
    lock = {
        "release": {"name": source.name, "lock": hashlib.sha256(released).hexdigest()},
        "layout": layout,
        "files": {name: file.sha256 for name, file in sorted(out.files.items())},
        "datasets": json.loads(released)["datasets"],
    }
    out.write_json("lock.json", lock)


def _parts(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while part := file.read(1024 * 1024):
            yield part


def _card(text: str, configs: Mapping[str, str]) -> str:
    """The card with the files of a layout in its metadata header."""
    _, header, body = text.split("---\n", 2)
    kept = [line for line in header.split("\n") if line and not line.startswith(("configs:", "- config_name:", "  data_files:"))]
    lines = [line for name, path in configs.items() for line in (f"- config_name: {name}", f"  data_files: {path}")]
    return "\n".join(["---", "configs:", *lines, *kept, "---", body])
