# pyright: basic
"""A release: accepted records, frozen as NAME@vN, in a folder that can be handed on.

data/*.parquet, data/*.jsonl    rows as trainers read them         tokens/*.parquet   GPT-OSS token ids with masks
README.md                       the dataset card                   ATTRIBUTION.md     every source, licence and notice
ACQUISITION.md, acquisition.json  what was searched for, and what is not covered
provenance.parquet              record -> pages and oracle calls   config.json        the settings it was made with, stage by stage
croissant.json                  the same for machines: files and columns
left_out.jsonl                  records that passed and that the mix left out, each with its reason
balance.json                    counts, coverage, and what length and style give away
lock.json                       hash of every file above and of every dataset behind them

The folder appears by one rename, so a release exists completely or not at all. Making it twice from the same records gives the
same bytes and no new version.
"""

import hashlib
import io
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from castalia.engine import Params, RoleIdentity, Stage
from castalia.errors import ConfigError, InputError, ReleaseRefused, StorageFull, StoreError
from castalia.harmony import Style, gpt_oss_vocabulary
from castalia.quality.audit import returned
from castalia.quality.canaries import trials
from castalia.quality.labels import undecided
from castalia.records import DATASETS, Canary, Label, Leak, Mix, Page, Query, Record, ReviewItem, TaxonomyNode, Verdict, canonical_json
from castalia.release.accept import accept
from castalia.release.balance import measure_balance
from castalia.release.card import attribution, dataset_card
from castalia.release.closure import close_provenance
from castalia.release.columns import COLUMNS, to_table
from castalia.release.croissant import croissant
from castalia.release.making import find_making
from castalia.release.rows import (
    pair_token_row,
    preference_row,
    prompt_token_row,
    replay_row,
    reward_row,
    sft_row,
    token_rows,
)
from castalia.stages.plan_queries import acquisition_specification, specification_page
from castalia.store import Store

_ROWS: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    "sft": sft_row,
    "preferences": preference_row,
    "rewards": reward_row,
    "replay": replay_row,
}
_NO_SPACE = 28  # errno.ENOSPC
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")


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
    stages: Sequence[Stage],
    params: Mapping[str, Params],
    role_identity: RoleIdentity | None,
    known_calls: Callable[[Iterable[str]], set[str]],
    settings: Mix = Mix(),  # noqa: B008 - frozen
    judge_is_writer: bool = False,
) -> Release:
    """Freezes the accepted records of `store` under `folder` as the next version of `name`.

    `stages`, `params` and `role_identity` are those a run would have now, `settings` those of the mix, and
    `judge_is_writer` says whether one model plays both roles, which the card tells. Raises ReleaseRefused when a stage is not what such a
    run would leave as it is, a layer has not run, a licence is outside the policy, a contaminated record was accepted, or
    provenance does not close; StorageFull when there is no room; ConfigError for a name that can't be a folder's.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"release name {name!r} isn't usable; use lower-case letters, digits, '.', '_' and '-'; versions come by themselves"
        )
    making = find_making(stages, params, store, role_identity)
    datasets = {dataset: list(store.read_dataset(dataset, record)) for dataset, record in DATASETS.items()}
    labels = list(store.read_dataset("labels", Label)) if store.has("labels") else []
    verdicts = list(store.read_dataset("verdicts", Verdict))
    accepted = accept(datasets, verdicts, labels, settings)
    records = [record for kept in accepted.records.values() for record in kept]
    for dataset, left_out in accepted.left_out.items():
        if left_out and not accepted.records[dataset] and any(one.dataset == dataset and one.at_most_share for one in settings.quotas):
            raise ReleaseRefused(
                f"the quotas of the mix leave nothing of {dataset!r}, not even {left_out[0].subject!r}: {left_out[0].detail}; raise "
                f"`at_most_share`, or make records for other parts (`castalia show balance`)"
            )
    if not records:
        raise ReleaseRefused("no record passed quality control; `castalia status` shows the funnel")
    by_id = {record.id for record in records}
    leaked = [leak for leak in store.read_dataset("leaks", Leak) if leak.record in by_id]
    if leaked:
        raise ReleaseRefused(
            f"{len(leaked)} accepted records overlap with protected items, the first is {leaked[0].record!r} ({leaked[0].method} with a "
            f"{leaked[0].bank} item): their verdicts are older than that finding; `castalia run --rebuild verify`"
        )
    origins = close_provenance(records, store.find, known_calls)
    wanted = {page for origin in origins.values() for page in origin.pages}
    pages = [page for page in store.read_dataset("pages", Page) if page.id in wanted]
    for page in pages:
        if page.licence.verdict != "allowed":
            made = next(identity for identity, origin in sorted(origins.items()) if page.id in origin.pages)
            raise ReleaseRefused(
                f"page {page.url!r} is {page.licence.verdict} ({page.licence.reason}) but records were made from it, the first is {made!r}; "
                f"`castalia run --rebuild collect` decides anew which pages may be used"
            )

    files = dict(_data_files(accepted.records))
    files.update(_token_files(accepted.records))
    provenance = [
        {"id": identity, "pages": list(origin.pages), "calls": list(origin.calls)} for identity, origin in sorted(origins.items())
    ]
    files["provenance.parquet"] = _parquet("provenance", provenance)
    queue = list(store.read_dataset("review_queue", ReviewItem))
    waiting = len(undecided([*queue, *returned(verdicts, labels, queue)], labels))
    nodes = list(store.read_dataset("taxonomy", TaxonomyNode))
    balance = measure_balance(accepted.records, nodes, gpt_oss_vocabulary(), settings=settings, left_out=accepted.left_out)
    rejects = sorted((reject for found in accepted.left_out.values() for reject in found), key=lambda reject: reject.id)
    files["left_out.jsonl"] = "".join(canonical_json(reject.to_row()) + "\n" for reject in rejects).encode()
    files["balance.json"] = _json(balance)
    judges = trials(store.read_dataset("canaries", Canary)) if store.has("canaries") else []
    files["README.md"] = dataset_card(name, making, accepted, pages, waiting, balance, judges, judge_is_writer).encode()
    files["ATTRIBUTION.md"] = attribution(pages).encode()
    specification = acquisition_specification(
        nodes,
        list(store.read_dataset("queries", Query)),
        licences=getattr(params.get("collect"), "licences", "permissive"),
        collected=Counter(page.topic for page in pages),
    )
    files["ACQUISITION.md"] = specification_page(specification).encode()
    files["acquisition.json"] = _json(specification)
    files["config.json"] = _json({"name": name, **making.to_json(), "mix": settings.model_dump(mode="json")})
    held = ", ".join(f"{len(kept)} {dataset}" for dataset, kept in accepted.records.items())
    summary = f"Training data about {making.domain or 'the configured domain'}: {held}."
    files["croissant.json"] = _json(croissant(name, summary, files, COLUMNS, pages))
    sources = ("taxonomy", "queries", "pages", "documents", "atoms", *DATASETS, "verdicts", "leaks", "suite")
    sources = (*sources, "labels") if labels else sources
    lock = {
        "files": {path: hashlib.sha256(data).hexdigest() for path, data in sorted(files.items())},
        "datasets": {source: store.manifest(source).content for source in sources},
    }
    files["lock.json"] = _json(lock)

    counts = {dataset: len(kept) for dataset, kept in accepted.records.items()}
    kept_out = sum(accepted.kept_out.values())
    versions = released_versions(folder, name)
    if versions and _is_intact(versions[-1], files["lock.json"]):
        return Release(versions[-1].name, versions[-1], counts, kept_out, new=False)
    target = folder / f"{name}@v{_number(versions[-1]) + 1 if versions else 1}"
    _write_folder(target, files)
    return Release(target.name, target, counts, kept_out, new=True)


def all_releases(folder: Path) -> list[Path]:
    """The folders of all releases, by name. What a killed process left unfinished is none."""
    return sorted(path for path in folder.glob("*@v*") if not path.name.startswith(".") and path.name.rpartition("@v")[2].isdigit())


def released_versions(folder: Path, name: str) -> list[Path]:
    """The folders of all versions of a release, oldest first."""
    return sorted((path for path in all_releases(folder) if path.name.rpartition("@v")[0] == name), key=_number)


def find_release(folder: Path, release: str) -> Path:
    """The folder of a release, NAME@vN or NAME for its latest version. Raises InputError with the releases there are."""
    found = folder / release if "@v" in release else next(reversed(released_versions(folder, release)), folder / f"{release}@v?")
    if found not in all_releases(folder):
        known = ", ".join(path.name for path in all_releases(folder)) or "none"
        raise InputError(f"there is no release {release!r}; releases: {known}")
    return found


def verify_release(folder: Path) -> list[str]:
    """Files of a release that are not what its lock says: missing, changed (with both hashes) or added; empty when all is as released."""
    try:
        locked: dict[str, str] = json.loads((folder / "lock.json").read_bytes())["files"]
    except OSError as error:
        return [f"lock.json can't be read: {error.strerror}"]
    except (ValueError, KeyError, TypeError):
        return ["lock.json was changed after the release: it is no lock"]
    wrong = []
    for path, expected in locked.items():
        file = folder / path
        if not file.is_file():
            wrong.append(f"{path} is missing")
        elif (found := hashlib.sha256(file.read_bytes()).hexdigest()) != expected:
            wrong.append(f"{path} was changed after the release: expected sha256 {expected}, found {found}")
    present = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    return wrong + [f"{path} was added after the release" for path in sorted(present - locked.keys() - {"lock.json"})]


def _is_intact(folder: Path, lock: bytes) -> bool:
    """Whether a release has this lock and is as released: a damaged one is made again, as the next version."""
    return not verify_release(folder) and (folder / "lock.json").read_bytes() == lock


def _data_files(records: Mapping[str, Sequence[Record]]) -> Iterable[tuple[str, bytes]]:
    for dataset, kept in records.items():
        rows = [_ROWS[dataset](record) for record in kept]
        yield f"data/{dataset}.parquet", _parquet(f"data/{dataset}", rows)
        yield f"data/{dataset}.jsonl", "".join(canonical_json(row) + "\n" for row in rows).encode()


def _token_files(records: Mapping[str, Sequence[Any]]) -> Iterable[tuple[str, bytes]]:
    vocabulary, style = gpt_oss_vocabulary(), Style()
    for dataset in ("sft", "replay"):
        rows = [row for record in records[dataset] for row in token_rows(record, vocabulary, style)]
        yield f"tokens/{dataset}.parquet", _parquet(f"tokens/{dataset}", rows)
    pairs = [pair_token_row(record, vocabulary, style) for record in records["preferences"]]
    yield "tokens/preferences.parquet", _parquet("tokens/preferences", pairs)
    prompts = [prompt_token_row(record, vocabulary, style) for record in records["rewards"]]
    yield "tokens/rewards.parquet", _parquet("tokens/rewards", prompts)


def _json(value: Any) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def _parquet(name: str, rows: Sequence[Mapping[str, Any]]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(to_table(name, rows), sink, compression="zstd", compression_level=3, version="2.6")
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
