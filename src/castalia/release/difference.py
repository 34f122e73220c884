# pyright: basic
"""What changed between two releases: records, sources, settings, and the figures of balance."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from castalia.errors import ReleaseRefused
from castalia.records import DATASETS
from castalia.release.publish import verify_release


class Change(NamedTuple):
    """Records of one dataset that only one of the releases has, by id. `changed` are those with one subject in both, as
    `SUBJECT: what differs`; `why` says of removed ones what the later release knows: `ID: reason`."""

    dataset: str
    before: int
    after: int
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...] = ()
    why: tuple[str, ...] = ()


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
    reasons = _left_out(after)
    for dataset in DATASETS:
        old, new = (_subjects(folder, dataset) for folder in (before, after))
        added, removed = sorted(new.keys() - old.keys()), sorted(old.keys() - new.keys())
        again = {new[identity]: identity for identity in added}
        pairs = {identity: again[old[identity]] for identity in removed if old[identity] in again}
        ones, others = _read(before, dataset, list(pairs)), _read(after, dataset, list(pairs.values()))
        changed = tuple(sorted(f"{old[one]}: {', '.join(_columns(ones[one], others[other]))}" for one, other in pairs.items()))
        why = tuple(f"{identity}: {reason}" for identity in removed if (reason := reasons.get(identity)))
        changes.append(Change(dataset, len(old), len(new), tuple(added), tuple(removed), changed, why))
    old_sources, new_sources = (_sources(folder) for folder in (before, after))
    return Difference(
        tuple(changes),
        tuple(sorted(new_sources - old_sources)),
        tuple(sorted(old_sources - new_sources)),
        tuple(changed_paths(_json(before / "config.json"), _json(after / "config.json"))),
        tuple(changed_paths(_json(before / "balance.json"), _json(after / "balance.json"))),
    )


def changed_paths(before: Any, after: Any, path: str = "") -> list[str]:
    """Where two values of JSON differ, as `PATH: before -> after`."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        return [
            line
            for key in sorted({*before, *after})
            for line in changed_paths(before.get(key), after.get(key), f"{path}.{key}" if path else str(key))
        ]
    return [] if before == after else [f"{path}: {_short(before)} -> {_short(after)}"]


def _short(value: Any) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _subjects(folder: Path, dataset: str) -> dict[str, str]:
    """Record id -> subject."""
    table = pq.read_table(folder / f"data/{dataset}.parquet", columns=["id", "subject"])
    return dict(zip(table["id"].to_pylist(), table["subject"].to_pylist(), strict=True))


def _read(folder: Path, dataset: str, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Record id -> its row, of these records."""
    found = pq.read_table(folder / f"data/{dataset}.parquet", filters=[("id", "in", ids)]).to_pylist() if ids else []
    return {row["id"]: row for row in found}


def _sources(folder: Path) -> set[str]:
    """Addresses that have a section of their own in the attribution."""
    lines = (folder / "ATTRIBUTION.md").read_text(encoding="utf-8").split("\n")
    return {line.removeprefix("## ") for line in lines if line.startswith("## ")}


def _left_out(folder: Path) -> dict[str, str]:
    """Record id -> why the mix left it out."""
    rows = [json.loads(line) for line in (folder / "left_out.jsonl").read_bytes().splitlines()]
    return {row["provenance"]["parents"][0]: f"{row['reason']}, {row['detail']}" for row in rows}


def _columns(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Columns in which two rows differ; where none does, what they were made from did: their ids are hashes of that, too."""
    return [name for name in one if name != "id" and one[name] != other.get(name)] or ["what it was made from"]


def _json(path: Path) -> Any:
    return json.loads(path.read_bytes()) if path.is_file() else {}
