"""Models on the frozen suite, each measurement made once: results are datasets, reused while model and suite are the same."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from castalia.errors import ConfigError, InputError, StaleStage
from castalia.evaluation.failures import mine
from castalia.evaluation.gate import Decision, decide, standard_guards
from castalia.evaluation.results import ItemResult
from castalia.evaluation.run import evaluate
from castalia.evaluation.suites import bank, freeze, verify_frozen, write_frozen
from castalia.evaluation.targets import Target
from castalia.evaluation.targets.recorded import RecordedTarget
from castalia.harmony import Style, gpt_oss_vocabulary
from castalia.records import Bank, Failure, SuiteItem, content_hash
from castalia.sandbox import Sandbox
from castalia.workspace import Workspace


def target_style(workspace: Workspace) -> Style:
    """How the target is asked, in training and in evaluation alike."""
    return Style(preamble=workspace.config.target.harmony_preamble)


def suite_items(workspace: Workspace) -> list[SuiteItem]:
    """The whole frozen suite. Freezes it on first use; afterwards a changed item is an error, because it is another suite.

    Raises InputError before the suite was designed.
    """
    if not workspace.store.has("suite"):
        raise InputError("there is no evaluation suite yet; `castalia run --until design_suite` makes it")
    items = list(workspace.store.read_dataset("suite", SuiteItem))
    if workspace.frozen_suite.is_file():
        try:
            verify_frozen(workspace.frozen_suite, items)
        except StaleStage as error:
            where = f"; the file is {str(workspace.frozen_suite)!r}: moved aside, the items of now are frozen when they are next needed"
            raise StaleStage(f"{error}{where}") from error
    else:
        write_frozen(workspace.frozen_suite, freeze(items))
    return items


def measure(
    workspace: Workspace,
    sandbox: Sandbox,
    model: str,
    folder: Path,
    which: Bank,
    *,
    opened_for: str = "",
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[list[ItemResult], bool]:
    """Results of a model folder on one bank, stored as `results.MODEL.BANK`; and whether they were made now."""
    items = bank(suite_items(workspace), which, opened_for=opened_for)
    name = f"results.{model}.{which}"
    seed = workspace.config.evaluation.seed
    fingerprint = content_hash(
        [_folder_identity(folder), sorted(item.id for item in items), target_style(workspace).model_dump(mode="json"), seed]
    )
    if _is_current(workspace, name, fingerprint):
        return list(workspace.store.read_dataset(name, ItemResult)), False
    from castalia.evaluation.targets.local import LocalTarget

    found = evaluate(
        LocalTarget(folder, name=model),
        items,
        sandbox=sandbox,
        style=target_style(workspace),
        seed=seed,
        on_progress=on_progress,
        packages=workspace.config.sandbox.packages,
    )
    workspace.store.write_dataset(name, ItemResult, found, fingerprint=fingerprint)
    return found, True


def measure_native(workspace: Workspace, sandbox: Sandbox, folder: Path) -> bool:
    """The base model on GATE through its own chat template, stored as `results.native.gate`; whether that was made now."""
    items = bank(suite_items(workspace), "gate")
    seed = workspace.config.evaluation.seed
    fingerprint = content_hash([_folder_identity(folder), sorted(item.id for item in items), "native", seed])
    if _is_current(workspace, "results.native.gate", fingerprint):
        return False
    from castalia.evaluation.native import evaluate_native

    if not (folder / "chat_template.jinja").is_file() and "chat_template" not in _tokenizer_settings(folder):
        return False  # the model has no form of its own: there is nothing to compare with
    found = evaluate_native(folder, items, sandbox=sandbox, seed=seed)
    workspace.store.write_dataset("results.native.gate", ItemResult, found, fingerprint=fingerprint)
    return True


def judge_candidate(workspace: Workspace, before: Sequence[ItemResult], after: Sequence[ItemResult], number: int) -> Decision:
    """The gate's decision in round `number`, stored as dataset `decisions`."""
    guards = standard_guards(workspace.config.evaluation.guards)
    decision = decide(before, after, number, guards)
    fingerprint = decision_fingerprint(number, before, after)
    earlier = list(workspace.store.read_dataset("decisions", Decision)) if workspace.store.has("decisions") else []
    kept = [past for past in earlier if past.round < number]
    workspace.store.write_dataset("decisions", Decision, [*kept, decision], fingerprint=fingerprint)
    return decision


def decision_fingerprint(number: int, before: Sequence[ItemResult], after: Sequence[ItemResult]) -> str:
    """What dataset `decisions` is filed under: the round and the very results it compared."""
    return content_hash([number, sorted(result.id for result in before), sorted(result.id for result in after)])


def store_failures(workspace: Workspace, results: Sequence[ItemResult], target: str, fingerprint: str = "") -> list[Failure]:
    """The failures among DEV results, stored as the input dataset `failures` of the replay set.

    Their results are kept with them, as `results.mined.dev`: those of the model itself are replaced when it is measured again, and a
    released correction must still lead to the answer it corrects.
    """
    failures = mine(bank(suite_items(workspace), "dev"), results, target)
    identity = fingerprint or content_hash(sorted(failure.id for failure in failures))
    wrong = [result for result in results if not result.passed]
    workspace.store.write_dataset("results.mined.dev", ItemResult, wrong, fingerprint=identity)
    workspace.store.write_dataset("failures", Failure, failures, fingerprint=identity)
    return failures


def mine_recorded_failures(workspace: Workspace, sandbox: Sandbox) -> list[Failure]:
    """Grades the recorded DEV answers that the configuration names and stores the failures among them.

    Recorded answers make a data-only run possible, and its released bytes the same on every machine.
    """
    path = workspace.config.evaluation.recorded_answers
    if path is None:
        raise ConfigError("evaluation.recorded_answers is not set: name the JSONL file with the target's DEV answers, or evaluate a model")
    try:
        recorded = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(
            f"evaluation.recorded_answers {path!r} can't be read: {error.strerror}; name the JSONL file with DEV answers"
        ) from error
    items = bank(suite_items(workspace), "dev")
    # Known before the vocabulary is loaded, which takes longer than everything else a fresh run does.
    fingerprint = content_hash([recorded, workspace.config.target.model, sorted(item.id for item in items)])
    if _is_current(workspace, "failures", fingerprint):
        return list(workspace.store.read_dataset("failures", Failure))
    target: Target = RecordedTarget(Path(path), items, gpt_oss_vocabulary(), name=workspace.config.target.model)
    results = evaluate(target, items, sandbox=sandbox, packages=workspace.config.sandbox.packages)
    return store_failures(workspace, results, target.identity, fingerprint)


def _is_current(workspace: Workspace, name: str, fingerprint: str) -> bool:
    return workspace.store.has(name) and workspace.store.manifest(name).fingerprint == fingerprint


def _tokenizer_settings(folder: Path) -> str:
    path = folder / "tokenizer_config.json"
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _folder_identity(folder: Path) -> str:
    """Hash of the weights and the settings of a model folder. Raises InputError when it is none."""
    weights = sorted([*folder.glob("*.safetensors"), *folder.glob("*.json")])
    if not any(path.suffix == ".safetensors" for path in weights):
        raise InputError(f"{str(folder)!r} is no model folder: it has no *.safetensors; train one, or name another")
    digest = hashlib.sha256()
    for path in weights:
        if path.name not in ("stage.json", "job.json"):
            digest.update(path.name.encode())
            with path.open("rb") as file:
                while chunk := file.read(1 << 22):
                    digest.update(chunk)
    return digest.hexdigest()
