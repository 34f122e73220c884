# pyright: basic
"""What changed between two releases: records, sources, settings, and the figures of balance."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from castalia.errors import ReleaseRefused
from castalia.records import DATASETS
from castalia.release.publish import verify_release


class Change(NamedTuple):
    """Records of one dataset that only one of the releases has, by id."""

    dataset: str
    before: int
    after: int
    added: tuple[str, ...]
    removed: tuple[str, ...]


class Difference(NamedTuple):
    """All that differs between two releases. Settings and figures are `PATH: before -> after`."""

    records: tuple[Change, ...]
    sources_added: tuple[str, ...]
    sources_removed: tuple[str, ...]
    settings: tuple[str, ...]
    figures: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether both hold the same records, made in the same way."""
        return not (self.settings or self.sources_added or self.sources_removed or any(c.added or c.removed for c in self.records))


def compare_releases(before: Path, after: Path) -> Difference:
    """Reads two release folders. Raises ReleaseRefused for one that is not as it was released: its figures would be of something else."""
    for folder in (before, after):
        if wrong := verify_release(folder):
            raise ReleaseRefused(f"release {folder.name!r} is not what was released: {wrong[0]}; make it again with `castalia release`")
    changes = []
    for dataset in DATASETS:
        old, new = (set(_column(folder / "data" / f"{dataset}.parquet", "id")) for folder in (before, after))
        changes.append(Change(dataset, len(old), len(new), tuple(sorted(new - old)), tuple(sorted(old - new))))
    old_sources, new_sources = (_sources(folder) for folder in (before, after))
    return Difference(
        tuple(changes),
        tuple(sorted(new_sources - old_sources)),
        tuple(sorted(old_sources - new_sources)),
        tuple(_paths(_json(before / "config.json"), _json(after / "config.json"))),
        tuple(_paths(_json(before / "balance.json"), _json(after / "balance.json"))),
    )


def _paths(before: Any, after: Any, path: str = "") -> list[str]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return [
            line
            for key in sorted({*before, *after})
            for line in _paths(before.get(key), after.get(key), f"{path}.{key}" if path else str(key))
        ]
    return [] if before == after else [f"{path}: {_short(before)} -> {_short(after)}"]


def _short(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _sources(folder: Path) -> set[str]:
    """Addresses that have a section of their own in the attribution."""
    lines = (folder / "ATTRIBUTION.md").read_text(encoding="utf-8").splitlines()
    return {line.removeprefix("## ") for line in lines if line.startswith("## ")}


def _column(path: Path, name: str) -> list[str]:
    return pq.read_table(path, columns=[name])[name].to_pylist()


def _json(path: Path) -> Any:
    return json.loads(path.read_bytes()) if path.is_file() else {}
