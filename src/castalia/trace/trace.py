"""The entry: a record id or the key of a call to the steps that answer for it."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from castalia.errors import InputError
from castalia.oracle import open_ledger
from castalia.quality.labels import read_labels
from castalia.rounds.record import models_trained_on
from castalia.trace.calls import call_chain
from castalia.trace.climb import climb
from castalia.trace.descend import descend, said
from castalia.trace.links import open_links
from castalia.trace.steps import Step
from castalia.web.archive import Archive
from castalia.workspace import Workspace

SHORTEST_KEY = 8

_KEY = re.compile(r"[0-9a-f]{1,64}")


def trace(workspace: Workspace, identity: str, *, down: bool = False) -> Iterator[Step]:
    """The steps behind a record, or with `down` those made from it; of a call's key, whole or shortened, the call and both.

    Raises InputError when no dataset has the record, the key is too short, or the ledger has no such call, or several.
    """
    if _KEY.fullmatch(identity):
        return _of_call(workspace, identity)
    if workspace.store.find(identity) is None:
        names = ", ".join(name for name in workspace.store.names() if not name.endswith(".rejects"))
        raise InputError(
            f"no record {identity!r} in the store, and it is no key of a call; look ids up with `castalia show DATASET` (datasets: {names})"
        )
    return _of_record(workspace, identity, down)


def _of_record(workspace: Workspace, identity: str, down: bool) -> Iterator[Step]:
    labels = read_labels(workspace.labels)
    with ExitStack() as stack:
        ledger = stack.enter_context(open_ledger(workspace.ledger, readonly=True)) if workspace.ledger.is_file() else None
        archive = Archive(workspace.archive, read_only=True) if workspace.archive.is_dir() else None
        if archive is not None:
            stack.callback(archive.close)
        links = stack.enter_context(open_links(workspace.store, _index(workspace)))
        behind = climb(workspace, identity, ledger, archive)
        itself = next(behind)
        yield itself._replace(facts={**itself.facts, **said(links, labels, identity), **_training(workspace, identity)})
        yield from descend(links, labels, identity, 1) if down else behind


def _training(workspace: Workspace, identity: str) -> dict[str, list[str]]:
    models = models_trained_on(workspace, identity)
    said = [f"round {model.round}, {model.stage}: {model.folder}" + (", shipped" if model.shipped else "") for model in models]
    return {"trained": said} if said else {}


def _of_call(workspace: Workspace, key: str) -> Iterator[Step]:
    if len(key) < SHORTEST_KEY:
        raise InputError(f"the key {key!r} has {len(key)} digits; give at least {SHORTEST_KEY} digits of a call's key, or a record id")
    if not workspace.ledger.is_file():
        raise InputError(f"there is no ledger yet at {str(workspace.ledger)!r}, so no call {key!r}; a run makes it with its first call")
    with open_ledger(workspace.ledger, readonly=True) as ledger:
        call, steps = call_chain(ledger, key)
    yield from steps
    with open_links(workspace.store, _index(workspace)) as links:
        yield from descend(links, read_labels(workspace.labels), call.key, 1)


def _index(workspace: Workspace) -> Path:
    return workspace.folder / "trace.sqlite"
