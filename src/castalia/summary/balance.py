"""How the records that passed are spread, and what their length and style give away: what a release would say of itself, before it is
made."""

from collections.abc import Mapping
from typing import Any

from castalia.harmony import gpt_oss_vocabulary
from castalia.records import DATASETS, TaxonomyNode
from castalia.release.balance import measure_balance
from castalia.summary.data import stops
from castalia.summary.stored import stored
from castalia.workspace import Workspace


def balance(workspace: Workspace) -> Mapping[str, Any] | None:
    """The figures of `measure_balance` for what nothing keeps out; None before quality control ran."""
    if not workspace.store.has("verdicts"):
        return None
    kept_out = stops(workspace)
    datasets = {name: [record for record in stored(workspace, name, kind) if record.id not in kept_out] for name, kind in DATASETS.items()}
    nodes = stored(workspace, "taxonomy", TaxonomyNode)
    return measure_balance(datasets, nodes, gpt_oss_vocabulary(), settings=workspace.config.mix)
