# pyright: basic
"""A release: accepted records, frozen as NAME@vN, in a folder that can be handed on.

data/*.parquet, data/*.jsonl    rows as trainers read them         tokens/*.parquet   GPT-OSS token ids with masks
README.md                       the dataset card                   ATTRIBUTION.md     every source, licence and notice
provenance.parquet              record -> pages and oracle calls   config.json        what made it, without speed and places
lock.json                       hash of every file above and of every dataset behind them

The folder appears by one rename, so a release exists completely or not at all. Making it twice from the same records gives the
same bytes and no new version.
"""

import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from castalia.errors import ReleaseRefused, StorageFull, StoreError
from castalia.harmony import Style, gpt_oss_vocabulary
from castalia.records import Page, Record, ReviewItem, Verdict, canonical_json
from castalia.release.accept import DATASETS, accept
from castalia.release.card import attribution, dataset_card
from castalia.release.closure import close_provenance
from castalia.release.rows import (
    pair_token_row,
    preference_row,
    prompt_token_row,
    replay_row,
    reward_row,
    sft_row,
    token_rows,
)
from castalia.store import Store

_ROWS: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    "sft": sft_row,
    "preferences": preference_row,
    "rewards": reward_row,
    "replay": replay_row,
}
_NO_SPACE = 28  # errno.ENOSPC


class Release(NamedTuple):
    """A published release."""

    name: str
    folder: Path
    records: Mapping[str, int]
    kept_out: int
    new: bool


def publish(
    store: Store,
    folder: Path,
    name: str,
    *,
    domain: str,
    config: Mapping[str, Any],
    known_calls: Callable[[Iterable[str]], set[str]],
) -> Release:
    """Freezes the accepted records of `store` under `folder` as the next version of `name`.

    Raises ReleaseRefused when a layer has not run, a licence is outside the policy, a contaminated record was accepted, or
    provenance does not close; StorageFull when there is no room.
    """
    datasets = {dataset: list(store.read_dataset(dataset, record)) for dataset, record in DATASETS.items()}
    accepted = accept(datasets, list(store.read_dataset("verdicts", Verdict)))
    records = [record for kept in accepted.records.values() for record in kept]
    if not records:
        raise ReleaseRefused("no record passed quality control; `castalia status` shows the funnel")
    origins = close_provenance(records, store.find, known_calls)
    wanted = {page for origin in origins.values() for page in origin.pages}
    pages = [page for page in store.read_dataset("pages", Page) if page.id in wanted]
    for page in pages:
        if page.licence.verdict != "allowed":
            raise ReleaseRefused(f"page {page.url!r} is {page.licence.verdict} ({page.licence.reason}) but records were made from it")

    files = dict(_data_files(accepted.records))
    files.update(_token_files(accepted.records))
    provenance = [
        {"id": identity, "pages": list(origin.pages), "calls": list(origin.calls)} for identity, origin in sorted(origins.items())
    ]
    files["provenance.parquet"] = _parquet(provenance)
    waiting = len(store.read_dataset("review_queue", ReviewItem))
    files["README.md"] = dataset_card(name, domain, accepted, pages, waiting).encode()
    files["ATTRIBUTION.md"] = attribution(pages).encode()
    files["config.json"] = (json.dumps(config, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
    sources = ("pages", "documents", "atoms", *DATASETS, "verdicts", "leaks", "suite")
    lock = {
        "files": {path: hashlib.sha256(data).hexdigest() for path, data in sorted(files.items())},
        "datasets": {source: store.manifest(source).content for source in sources},
    }
    files["lock.json"] = (json.dumps(lock, indent=2, sort_keys=True) + "\n").encode()

    counts = {dataset: len(kept) for dataset, kept in accepted.records.items()}
    kept_out = sum(accepted.kept_out.values())
    versions = released_versions(folder, name)
    if versions and (versions[-1] / "lock.json").read_bytes() == files["lock.json"]:
        return Release(versions[-1].name, versions[-1], counts, kept_out, new=False)
    target = folder / f"{name}@v{_number(versions[-1]) + 1 if versions else 1}"
    _write_folder(target, files)
    return Release(target.name, target, counts, kept_out, new=True)


def released_versions(folder: Path, name: str) -> list[Path]:
    """The folders of all versions of a release, oldest first."""
    found = [path for path in folder.glob(f"{name}@v*") if path.name.rpartition("@v")[2].isdigit()]
    return sorted(found, key=_number)


def verify_release(folder: Path) -> list[str]:
    """Files of a release whose bytes are not what its lock says; empty when all is as released."""
    lock = json.loads((folder / "lock.json").read_bytes())
    wrong = []
    for path, expected in lock["files"].items():
        file = folder / path
        if not file.is_file():
            wrong.append(f"{path} is missing")
        elif hashlib.sha256(file.read_bytes()).hexdigest() != expected:
            wrong.append(f"{path} was changed after the release")
    return wrong


def _data_files(records: Mapping[str, Sequence[Record]]) -> Iterable[tuple[str, bytes]]:
    for dataset, kept in records.items():
        rows = [_ROWS[dataset](record) for record in kept]
        yield f"data/{dataset}.parquet", _parquet(rows)
        yield f"data/{dataset}.jsonl", "".join(canonical_json(row) + "\n" for row in rows).encode()


def _token_files(records: Mapping[str, Sequence[Any]]) -> Iterable[tuple[str, bytes]]:
    vocabulary, style = gpt_oss_vocabulary(), Style()
    for dataset in ("sft", "replay"):
        yield f"tokens/{dataset}.parquet", _parquet([row for record in records[dataset] for row in token_rows(record, vocabulary, style)])
    yield "tokens/preferences.parquet", _parquet([pair_token_row(record, vocabulary, style) for record in records["preferences"]])
    yield "tokens/rewards.parquet", _parquet([prompt_token_row(record, vocabulary, style) for record in records["rewards"]])


def _parquet(rows: Sequence[Mapping[str, Any]]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows)), sink, compression="zstd", compression_level=3, version="2.6")
    return sink.getvalue()


def _number(folder: Path) -> int:
    return int(folder.name.rpartition("@v")[2])


def _write_folder(target: Path, files: Mapping[str, bytes]) -> None:
    """All files in a temporary folder, flushed, then one rename."""
    unfinished = target.with_name(f".{target.name}.unfinished")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        for name, data in files.items():
            path = unfinished / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        unfinished.rename(target)
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        kind = StorageFull if error.errno == _NO_SPACE else StoreError
        raise kind(
            f"release {target.name!r} can't be written to {str(target.parent)!r}: {error.strerror}; nothing was left behind"
        ) from error
