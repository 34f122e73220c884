"""Where a stage's outputs go: each record to the dataset of its type, each Reject to the stage's rejects."""

from collections.abc import Mapping
from typing import Self

from castalia.engine.stage import Stage
from castalia.errors import ConfigError
from castalia.records import Record, Reject
from castalia.store import Manifest, Store


def dataset_of(stage: Stage, output: object) -> str:
    """Name of the dataset that an output belongs to. Raises ConfigError when the stage doesn't write its type."""
    for dataset, record_type in stage.outputs.items():
        if type(output) is record_type:
            return dataset
    raise ConfigError(f"stage {stage.name!r} yielded {output!r:.120}; it may yield {_types(stage)} and Reject")


def require_origin(stage: Stage, output: Record) -> None:
    """Raises ConfigError for a record that says neither what it was made from nor which oracle calls made it."""
    if not isinstance(output, Reject) and not output.provenance.parents and not output.provenance.calls:
        raise ConfigError(
            f"stage {stage.name!r} yielded {output.id!r} without provenance; every record of a stage with inputs names its parents, "
            f"its oracle calls, or both"
        )


class Outputs:
    """What a running stage has made so far, on its way to the store. Used as a context manager: what isn't published is forgotten."""

    def __init__(self, stage: Stage, store: Store, inputs: Mapping[str, Manifest]) -> None:
        self._stage = stage
        self._store = store
        self._inputs = inputs
        self._has_inputs = any(manifest.rows for manifest in inputs.values())
        self._spools = {dataset: store.spool(dataset, record_type) for dataset, record_type in stage.outputs.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for spool in self._spools.values():
            spool.close()

    def add(self, output: Record) -> None:
        """One more output. Raises ConfigError when the stage doesn't write its type or it says nothing of its origin."""
        dataset = dataset_of(self._stage, output)
        if self._has_inputs:
            require_origin(self._stage, output)
        self._spools[dataset].add(output)

    def publish(self, fingerprint: str) -> Mapping[str, Manifest]:
        """Writes all datasets of the stage, the empty ones too, and names them only when all are written."""
        parents = {dataset: manifest.hash for dataset, manifest in self._inputs.items()}
        manifests = {
            dataset: self._store.put_spooled(spool, fingerprint=fingerprint, parents=parents) for dataset, spool in self._spools.items()
        }
        self._store.publish(manifests.values())
        return manifests


def _types(stage: Stage) -> str:
    return ", ".join(record_type.__name__ for record_type in stage.writes.values())
