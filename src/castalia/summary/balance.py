"""How the records that passed are spread, and what their length and style give away: what a release would say of itself, before it is
made."""

from collections.abc import Mapping
from typing import Any

from castalia.harmony import gpt_oss_vocabulary
from castalia.records import TaxonomyNode
from castalia.release import Passed
from castalia.release.balance import measure_balance
from castalia.summary.stored import stored
from castalia.workspace import Workspace


def balance(workspace: Workspace, passed: Passed | None) -> Mapping[str, Any] | None:
    """The figures of `measure_balance` for what nothing keeps out; None before quality control ran."""
    if passed is None:
        return None
    nodes = stored(workspace, "taxonomy", TaxonomyNode)
    return measure_balance(passed.records, nodes, gpt_oss_vocabulary(), settings=workspace.config.mix, left_out=passed.left_out)
