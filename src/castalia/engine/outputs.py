"""Where a stage's outputs go: each record to the dataset of its type, each Reject to the stage's rejects."""

from collections.abc import Iterable, Mapping

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


def publish_outputs(
    stage: Stage, outputs: Iterable[Record], store: Store, *, inputs: Mapping[str, Manifest], fingerprint: str
) -> Mapping[str, Manifest]:
    """Writes all datasets of a stage, the empty ones too, and names them only when all are written."""
    sorted_out: dict[str, list[Record]] = {dataset: [] for dataset in stage.outputs}
    has_inputs = any(manifest.rows for manifest in inputs.values())
    for output in outputs:
        dataset = dataset_of(stage, output)
        if has_inputs:
            require_origin(stage, output)
        sorted_out[dataset].append(output)
    parents = {dataset: manifest.hash for dataset, manifest in inputs.items()}
    manifests = {
        dataset: store.put_dataset(dataset, record_type, sorted_out[dataset], fingerprint=fingerprint, parents=parents)
        for dataset, record_type in stage.outputs.items()
    }
    store.publish(manifests.values())
    return manifests


def _types(stage: Stage) -> str:
    return ", ".join(record_type.__name__ for record_type in stage.writes.values())
