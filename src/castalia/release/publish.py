# pyright: basic
"""A release: accepted records, frozen as NAME@vN, in a folder that can be handed on.

data/*.parquet, data/*.jsonl    rows as trainers read them         tokens/*.parquet   GPT-OSS token ids with masks
README.md                       the dataset card                   ATTRIBUTION.md     every source, licence and notice
ACQUISITION.md, acquisition.json  what was searched for, and what is not covered
provenance.parquet              record -> pages and oracle calls   config.json        the settings it was made with, stage by stage
croissant.json                  the same for machines: files and columns
left_out.jsonl                  records that passed and that the mix left out, each with its reason
balance.json                    counts, coverage, and what length and style give away
lock.json                       hash of every file above and of every dataset behind them, and the versions of what no stage wrote

The folder appears by one rename, so a release exists completely or not at all. Making it twice from the same records with the same
versions of castalia and pyarrow gives the same bytes and no new version.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import pyarrow

import castalia
from castalia.engine import Params, RoleIdentity, Stage
from castalia.errors import ConfigError, InputError, ReleaseRefused
from castalia.harmony import Style, gpt_oss_vocabulary
from castalia.quality.audit import returned
from castalia.quality.canaries import trials
from castalia.quality.labels import undecided
from castalia.records import DATASETS, Canary, Label, Leak, Mix, Query, Record, ReviewItem, TaxonomyNode, Verdict
from castalia.release.accept import accept
from castalia.release.balance import measure_balance
from castalia.release.card import attribution, dataset_card
from castalia.release.closure import close_provenance
from castalia.release.columns import COLUMNS
from castalia.release.croissant import croissant
from castalia.release.folder import NewFolder, new_folder
from castalia.release.making import find_making, in_order, inputs_of
from castalia.release.rows import (
    pair_token_row,
    preference_row,
    prompt_token_row,
    replay_row,
    reward_row,
    sft_row,
    token_rows,
)
from castalia.release.sources import read_sources
from castalia.stages.plan_queries import acquisition_specification, specification_page
from castalia.store import Store

_ROWS: Mapping[str, Callable[[Any], dict[str, Any]]] = {
    "sft": sft_row,
    "preferences": preference_row,
    "rewards": reward_row,
    "replay": replay_row,
}
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
    if not records:
        raise ReleaseRefused("no record passed quality control; `castalia status` shows the funnel")
    by_id = {record.id for record in records}
    leaked = [leak for leak in store.read_dataset("leaks", Leak) if leak.record in by_id]
    if leaked:
        raise ReleaseRefused(
            f"{len(leaked)} accepted records overlap with protected items, the first is {leaked[0].record!r} ({leaked[0].method} with a "
            f"{leaked[0].bank} item): their verdicts are older than that finding; `castalia run --rebuild verify`"
        )
    closure = close_provenance(records, store, in_order(stages, store), known_calls)
    sources = read_sources(store, {page for origin in closure.origins.values() for page in origin.pages})
    for source in sources:
        if source.licence.verdict != "allowed":
            made = next(identity for identity, origin in sorted(closure.origins.items()) if source.id in origin.pages)
            raise ReleaseRefused(
                f"page {source.url!r} is {source.licence.verdict} ({source.licence.reason}) but records were made from it, the first is "
                f"{made!r}; `castalia run --rebuild collect` decides anew which pages may be used"
            )
    queue = list(store.read_dataset("review_queue", ReviewItem))
    waiting = len(undecided([*queue, *returned(verdicts, labels, queue)], labels))
    nodes = list(store.read_dataset("taxonomy", TaxonomyNode))
    balance = measure_balance(accepted.records, nodes, gpt_oss_vocabulary(), settings=settings, left_out=accepted.left_out)
    rejects = sorted((reject for found in accepted.left_out.values() for reject in found), key=lambda reject: reject.id)
    judges = trials(store.read_dataset("canaries", Canary), verdicts) if store.has("canaries") else []
    specification = acquisition_specification(
        nodes,
        list(store.read_dataset("queries", Query)),
        licences=getattr(params.get("collect"), "licences", "permissive"),
        collected=Counter(source.topic for source in sources),
    )
    versions = released_versions(folder, name)
    target = folder / f"{name}@v{_number(versions[-1]) + 1 if versions else 1}"
    with new_folder(target, f"release {target.name!r}") as out:
        _write_data(out, accepted.records)
        _write_tokens(out, accepted.records)
        origins = sorted(closure.origins.items())
        provenance = ({"id": identity, "pages": list(origin.pages), "calls": list(origin.calls)} for identity, origin in origins)
        out.write_parquet("provenance.parquet", provenance, COLUMNS["provenance"])
        out.write_lines("left_out.jsonl", (reject.to_row() for reject in rejects))
        out.write_json("balance.json", balance)
        out.write_text("README.md", dataset_card(name, making, accepted, sources, waiting, balance, judges, judge_is_writer))
        out.write_text("ATTRIBUTION.md", attribution(sources))
        out.write_text("ACQUISITION.md", specification_page(specification))
        out.write_json("acquisition.json", specification)
        made_with = {"castalia": castalia.__version__, "pyarrow": pyarrow.__version__}
        out.write_json("config.json", {"name": name, **making.to_json(), "mix": settings.model_dump(mode="json"), "made_with": made_with})
        held = ", ".join(f"{len(kept)} {dataset}" for dataset, kept in accepted.records.items())
        summary = f"Training data about {making.domain or 'the configured domain'}: {held}."
        out.write_json("croissant.json", croissant(name, summary, out.files, COLUMNS, sources))
        behind = ("taxonomy", "queries", "pages", "documents", "atoms", *DATASETS, "verdicts", "leaks", "suite")
        behind = (*behind, "labels") if labels else behind
        written = {dataset for stage in stages for dataset in stage.outputs}
        given = sorted({*inputs_of(stages, store), *(closure.datasets - written)})
        lock = {
            "files": {path: file.sha256 for path, file in sorted(out.files.items())},
            "datasets": {dataset: store.manifest(dataset).content for dataset in behind},
            "inputs": {dataset: store.manifest(dataset).hash for dataset in given},
        }
        new = not (versions and _is_intact(versions[-1], lock))
        if new:
            out.write_json("lock.json", lock)
        else:
            out.discard()
    released = target if new else versions[-1]
    counts = {dataset: len(kept) for dataset, kept in accepted.records.items()}
    return Release(released.name, released, counts, sum(accepted.kept_out.values()), new)


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
        found: Any = json.loads((folder / "lock.json").read_bytes())
    except OSError as error:
        return [f"lock.json can't be read: {error.strerror}"]
    except (ValueError, RecursionError):
        found = None
    files = found.get("files") if isinstance(found, dict) else None
    if not isinstance(files, dict):
        return ["lock.json was changed after the release: it is no lock"]
    locked = cast("dict[str, str]", files)
    wrong = []
    for path, expected in locked.items():
        file = folder / path
        if not file.is_file():
            wrong.append(f"{path} is missing")
        elif (found := hashlib.sha256(file.read_bytes()).hexdigest()) != expected:
            wrong.append(f"{path} was changed after the release: expected sha256 {expected}, found {found}")
    present = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    return wrong + [f"{path} was added after the release" for path in sorted(present - locked.keys() - {"lock.json"})]


def _is_intact(folder: Path, lock: Mapping[str, Any]) -> bool:
    """Whether a release has this lock and is as released: a damaged one is made again, as the next version."""
    return not verify_release(folder) and json.loads((folder / "lock.json").read_bytes()) == lock


def _write_data(out: NewFolder, records: Mapping[str, Sequence[Record]]) -> None:
    for dataset, kept in records.items():
        row = _ROWS[dataset]
        out.write_parquet(f"data/{dataset}.parquet", map(row, kept), COLUMNS[f"data/{dataset}"])
        out.write_lines(f"data/{dataset}.jsonl", map(row, kept))


def _write_tokens(out: NewFolder, records: Mapping[str, Sequence[Any]]) -> None:
    vocabulary, style = gpt_oss_vocabulary(), Style()
    rows: dict[str, Iterable[dict[str, Any]]] = {
        dataset: (row for record in records[dataset] for row in token_rows(record, vocabulary, style)) for dataset in ("sft", "replay")
    }
    rows["preferences"] = (pair_token_row(record, vocabulary, style) for record in records["preferences"])
    rows["rewards"] = (prompt_token_row(record, vocabulary, style) for record in records["rewards"])
    for dataset, found in rows.items():
        out.write_parquet(f"tokens/{dataset}.parquet", found, COLUMNS[f"tokens/{dataset}"])


def _number(folder: Path) -> int:
    return int(folder.name.rpartition("@v")[2])
