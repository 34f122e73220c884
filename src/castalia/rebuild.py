# pyright: basic
"""A release made again from what was kept: the archive of pages and the ledger of answers, without network and without a model.

Nothing of the store is used but what no stage wrote (failures of the target), in the versions that the release was made with; and of
people's labels those that had been given by then. Every dataset is made anew in a folder of its own, beside copies of archive and ledger,
and the new release is compared with the old one: byte by byte where the same versions of castalia and pyarrow made both, else by what the
files say, since Parquet files name their writer.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

from castalia.datasets import make_datasets
from castalia.engine import Event
from castalia.errors import InputError, MissingRecording, ReleaseRefused, StoreError
from castalia.quality.labels import all_labels, holding
from castalia.records import Label, canonical_json
from castalia.release import find_release, verify_release
from castalia.release.difference import changed_paths
from castalia.rounds.measure import MINED
from castalia.store import Store, open_store
from castalia.workspace import Workspace, make_release, open_services

_SETTINGS = "config.json"
_MOST = 5  # changed settings named in a message


class Rebuilt(NamedTuple):
    """How a rebuild compares with its release."""

    release: str
    files: int
    different: tuple[str, ...]
    """Files that say something else, with what is known of why."""
    rewritten: tuple[str, ...] = ()
    """Files that say the same in other bytes, because other versions wrote them."""
    versions: tuple[str, ...] = ()
    """Those versions, `NAME: before -> now`."""

    @property
    def same(self) -> bool:
        """Whether every file has the same bytes."""
        return not self.different and not self.rewritten


async def rebuild_release(workspace: Workspace, release: str, *, on_event: Callable[[Event], None] = lambda _: None) -> Rebuilt:
    """Makes `release` (NAME@vN, or NAME for the latest) again and compares.

    Raises InputError for a release that does not exist or whose inputs are gone, ReleaseRefused for one that was changed or holds stages
    kept by a waiver, StoreError while another process makes it again, and what a run raises: MissingRecording where the ledger
    lacks an answer.
    """
    folder = find_release(workspace.releases, release)
    if wrong := verify_release(folder):
        raise ReleaseRefused(f"release {folder.name!r} is not what was released: {wrong[0]}; a rebuild would compare with that")
    settings = json.loads((folder / "config.json").read_bytes())
    if kept := [one["stage"] for one in settings["kept"]]:
        raise ReleaseRefused(
            f"release {folder.name!r} holds stages that were kept by a waiver ({', '.join(kept)}): what they were made from is gone, so it "
            f"can't be made again. Rebuild those stages and release anew: castalia run {' '.join(f'--rebuild {name}' for name in kept)}"
        )
    labels = labels_then(workspace, folder)
    room = workspace.folder / f".rebuild-{folder.name}"
    with _alone(folder):
        shutil.rmtree(room, ignore_errors=True)
        try:
            again = _furnish(workspace, room, labels, folder)
            try:
                async with open_services(again, offline=True, archived=True) as services:
                    await make_datasets(again, services, on_event=on_event)
            except MissingRecording as error:
                changed = _changed(settings, workspace)
                raise MissingRecording(f"{folder.name!r} can't be made again: {str(error).splitlines()[0]}{changed}") from error
            made = make_release(again, folder.name.rpartition("@v")[0])
            return _compare(folder, made.folder)
        finally:
            shutil.rmtree(room, ignore_errors=True)


@contextlib.contextmanager
def _alone(release: Path) -> Generator[None]:
    """Locks the folder of a release, which leaves no file behind and ends with its holder."""
    descriptor = os.open(release, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise StoreError(f"release {release.name!r} is being made again by another process; wait for it to end") from error
        yield
    finally:
        os.close(descriptor)


def labels_then(workspace: Workspace, folder: Path) -> tuple[Label, ...]:
    """The labels that held when the release was made, found by their hash: the file of labels only grows."""
    wanted: str | None = json.loads((folder / "lock.json").read_bytes())["datasets"].get("labels")
    if wanted is None:
        return ()
    said = all_labels(workspace.labels)
    rows = {label.id: f"{canonical_json(label.to_row())}\n".encode() for label in said}
    by_person: dict[tuple[str, str], list[Label]] = {}
    for label in said:
        by_person.setdefault((label.record, label.reviewer), []).append(label)
    held = {label.id: label for label in holding(said)}
    for last in reversed(said):
        if hashlib.sha256(b"".join(rows[identity] for identity in sorted(held))).hexdigest() == wanted:
            return tuple(held.values())
        earlier = by_person[last.record, last.reviewer]
        earlier.pop()
        held.pop(last.id, None)
        held |= {label.id: label for label in holding(earlier[-1:])}
    raise InputError(
        f"the labels that {folder.name!r} was made with are not in {str(workspace.labels)!r}: lines were removed or changed, so it can't be "
        f"made again"
    )


def _furnish(workspace: Workspace, room: Path, labels: tuple[Label, ...], release: Path) -> Workspace:
    """A workspace in `room` with the same configuration, archive and ledger, these labels, and of the store the inputs of the release."""
    if not workspace.ledger.is_file() or not workspace.archive.is_dir():
        raise InputError(f"{str(workspace.folder)!r} has no ledger or no archive of pages: there is nothing to make a release from")
    config = workspace.config
    execution = config.execution.model_copy(update={"store": str(room)})
    try:
        room.mkdir(parents=True)
        shutil.copytree(workspace.archive, room / workspace.archive.name)
        source, target = sqlite3.connect(f"file:{workspace.ledger}?mode=ro", uri=True), sqlite3.connect(room / workspace.ledger.name)
        with contextlib.closing(source), contextlib.closing(target):
            source.backup(target)
        if labels:
            lines = "".join(label.model_dump_json() + "\n" for label in labels)
            (room / workspace.labels.name).write_text(lines, encoding="utf-8")
    except (OSError, sqlite3.Error) as error:
        raise StoreError(f"archive and ledger can't be copied to {str(room)!r}: {error}; a rebuild needs room for both") from error
    store = open_store(room / "store")
    _give_inputs(workspace.store, store, release)
    return replace(workspace, config=config.model_copy(update={"execution": execution}), folder=room, store=store)


def _give_inputs(source: Store, store: Store, release: Path) -> None:
    """Copies the datasets that no stage wrote, as they were. A run grades recorded answers of the target itself, where there is no copy."""
    inputs: dict[str, str] | None = json.loads((release / "lock.json").read_bytes()).get("inputs")
    if inputs is None:
        raise ReleaseRefused(f"release {release.name!r} doesn't say which versions of its inputs it was made with; release anew")
    noted: Any = json.loads((release / _SETTINGS).read_bytes())["inputs"].get("failures", {}).get("made_by") or {}
    graded = MINED if noted.get("failures", {}).get("source") == "recorded" else ()
    for name, version in inputs.items():
        try:
            manifest = source.manifest(version)
            for shard in manifest.shards:
                store.put_object(source.get_object(shard.sha256, name))
        except StoreError as error:
            if name in graded:
                continue
            raise InputError(
                f"release {release.name!r} can't be made again: the version of {name!r} that it was made with is not in store "
                f"{source.root!r}, and no stage makes it: {error}"
            ) from error
        with contextlib.suppress(StoreError):  # its writer may have left no note
            store.put_json(source.get_json(manifest.fingerprint, name))
        store.put_object(manifest.encode())
        store.publish([manifest])


def _compare(before: Path, after: Path) -> Rebuilt:
    old, new = (json.loads((folder / "lock.json").read_bytes()) for folder in (before, after))
    made, made_again = (json.loads((folder / _SETTINGS).read_bytes()) for folder in (before, after))
    versions = changed_paths(made.pop("made_with", None), made_again.pop("made_with", None))
    different: list[str] = []
    rewritten: list[str] = []
    settings = changed_paths(made, made_again)
    if settings:  # first, because it is why the others differ
        different.append(f"{_SETTINGS} ({_few([line.replace('.params.', '.') for line in settings])})")
    for path in sorted({*old["files"], *new["files"]} - ({_SETTINGS} if settings else set())):
        if path not in old["files"] or path not in new["files"]:
            different.append(f"{path} (only in one of them)")
        elif old["files"][path] != new["files"][path]:
            same = bool(versions) and _says_the_same(before / path, after / path)
            (rewritten if same else different).append(path)
    different += [
        f"dataset {name}" for name in sorted({*old["datasets"], *new["datasets"]}) if old["datasets"].get(name) != new["datasets"].get(name)
    ]
    return Rebuilt(before.name, len(old["files"]), tuple(different), tuple(rewritten), tuple(versions))


def _says_the_same(one: Path, other: Path) -> bool:
    """Whether two files differ by nothing but the versions that wrote them: Parquet by rows, papers but for hashes and versions."""
    if one.suffix == ".parquet":
        return pq.read_table(one).equals(pq.read_table(other))
    return one.suffix == ".json" and _unversioned(one) == _unversioned(other)


def _unversioned(path: Path) -> Any:
    paper = json.loads(path.read_bytes())
    paper.pop("made_with", None)
    for file in paper.get("distribution", ()):
        file.update(sha256="", contentSize="")
    return paper


def _changed(settings: Mapping[str, Any], workspace: Workspace) -> str:
    """Params of stages that are not what the release was made with, in words; empty where all are."""
    now = {stage.name: json.loads(workspace.params[stage.name].model_dump_json()) for stage in workspace.stages}
    changed = [
        f"stages.{stage}.{name}"
        for stage, made in settings["stages"].items()
        for name, value in made["params"].items()
        if stage in now and name in now[stage] and now[stage][name] != value
    ]
    return f"; the release was made with other settings: {_few(changed)}" if changed else ""


def _few(names: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    return ", ".join(names[:_MOST]) + (f" and {len(names) - _MOST} more" if len(names) > _MOST else "")
