"""A dataset of the workspace, empty before it exists."""

from typing import TypeVar

from castalia.evaluation.results import ItemResult
from castalia.records import Record
from castalia.workspace import Workspace

AnyRecord = TypeVar("AnyRecord", bound=Record)


def stored(workspace: Workspace, name: str, record_type: type[AnyRecord]) -> list[AnyRecord]:
    """All records of dataset `name`."""
    return list(workspace.store.read_dataset(name, record_type)) if workspace.store.has(name) else []


def results(workspace: Workspace, model: str, bank: str) -> list[ItemResult]:
    """Stored results of one model (`base`, `native`, `candidate`, `promoted`) on one bank, by subject."""
    return sorted(stored(workspace, f"results.{model}.{bank}", ItemResult), key=lambda result: result.subject)
