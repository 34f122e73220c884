"""A model behind an OpenAI-compatible server, measured on the frozen suite like any other.

A server does not say which weights it serves under a name, so nothing is reused: every measurement is made now.
"""

import re
from collections.abc import Callable

from castalia.evaluation.results import ItemResult
from castalia.evaluation.run import evaluate, score_key
from castalia.evaluation.suites import bank
from castalia.evaluation.targets.server import ServerTarget, check_served
from castalia.harmony import Vocabulary, foreign_vocabulary, gpt_oss_vocabulary
from castalia.records import Bank
from castalia.rounds.measure import suite_items, target_style
from castalia.sandbox import Sandbox
from castalia.training.installed import require_training
from castalia.workspace import Workspace


def measure_served(
    workspace: Workspace,
    sandbox: Sandbox,
    base_url: str,
    model: str,
    which: Bank,
    *,
    api_key: str = "",
    opened_for: str = "",
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[ItemResult]:
    """Results of `model`, as the server at `base_url` calls it, on one bank; stored under `results_name(model, which)`.

    Raises InputError when the server is unreachable, has no such model, or gives no token ids.
    """
    items = bank(suite_items(workspace), which, opened_for=opened_for)
    check_served(base_url, model, api_key=api_key)
    target = ServerTarget(base_url, model, target_vocabulary(workspace), api_key=api_key)
    style, seed = target_style(workspace), workspace.config.evaluation.seed
    packages = workspace.config.sandbox.packages
    found = evaluate(target, items, sandbox=sandbox, style=style, seed=seed, on_progress=on_progress, packages=packages)
    key = workspace.store.put_json(score_key(target, items, style=style, seed=seed).model_dump(mode="json"))
    workspace.store.write_dataset(results_name(model, which), ItemResult, found, fingerprint=key)
    return found


def results_name(model: str, which: Bank) -> str:
    """The dataset a served model's results are stored as: `results.served-MODEL.BANK`, in the letters a dataset may have."""
    return f"results.served-{re.sub(r'[^a-z0-9_-]+', '-', model.lower()).strip('-')}.{which}"


def target_vocabulary(workspace: Workspace) -> Vocabulary:
    """The vocabulary of the configured target: token ids are what the server is asked with."""
    target = workspace.config.target.model
    if "gpt-oss" in target.lower():
        return gpt_oss_vocabulary()
    require_training()
    from castalia.training.models import load_tokenizer, prepare_base

    return foreign_vocabulary(load_tokenizer(prepare_base(target, workspace.training / "base")))
