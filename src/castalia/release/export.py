"""A release in the layout of a hub or trainer."""

import shutil
from pathlib import Path
from typing import Literal

from castalia.errors import InputError, ReleaseRefused, StoreError
from castalia.release.layouts import prime_rl_files, trl_files
from castalia.release.publish import find_release, verify_release

Layout = Literal["hub", "trl", "prime-rl", "jsonl"]
_PAPERS = ("README.md", "ATTRIBUTION.md", "balance.json", "croissant.json", "provenance.parquet", "lock.json")


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
                path.write_bytes(content)
        unfinished.rename(out)
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise StoreError(f"{source.name!r} can't be exported to {str(out)!r}: {error.strerror}; nothing was left behind") from error
    return sorted(chosen)


def _files(source: Path, layout: Layout) -> dict[str, bytes | None]:
    """File names, with their content where it is not simply copied."""
    papers: dict[str, bytes | None] = {name: None for name in _PAPERS if (source / name).is_file()}
    if layout == "trl":
        return {**papers, **trl_files(source)}
    if layout == "prime-rl":
        return {**papers, **prime_rl_files(source)}
    ending = "parquet" if layout == "hub" else "jsonl"
    return {**papers, **{f"data/{path.name}": None for path in sorted((source / "data").glob(f"*.{ending}"))}}
