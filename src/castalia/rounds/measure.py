"""Models on the frozen suite, each measurement made once: results are datasets, reused while everything that decides them is the same.

The replay set corrects the failures of, the first that there is:
1. the last round of `castalia loop`,
2. the recorded answers that `evaluation.recorded_answers` names,
3. the model that `castalia eval` measured last on DEV.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import castalia
from castalia.errors import ConfigError, CorruptObject, InputError, StaleStage
from castalia.evaluation.failures import mine
from castalia.evaluation.results import ItemResult, ScoreKey
from castalia.evaluation.run import evaluate, style_name
from castalia.evaluation.suites import bank, freeze, suite_hash, verify_frozen, write_frozen
from castalia.evaluation.targets import Target
from castalia.evaluation.targets.recorded import RecordedTarget
from castalia.harmony import Style, gpt_oss_vocabulary
from castalia.records import Bank, Failure, SuiteItem, content_hash
from castalia.sandbox import Sandbox, runtime_identity
from castalia.store import folder_hash
from castalia.workspace import Workspace

FailureSource = Literal["loop", "recorded", "eval"]
MINED = ("failures", "results.mined.dev")
"""What `store_failures` writes."""
_SOURCES: dict[FailureSource, str] = {
    "loop": "the last round of `castalia loop`",
    "recorded": "the recorded answers that evaluation.recorded_answers names",
    "eval": "the last `castalia eval` on DEV",
}


class FailureOrigin(NamedTuple):
    """Whose failures the replay set corrects, and how they were found."""

    source: FailureSource
    target: str


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
    """Results of a model folder on one bank, stored as `results.MODEL.BANK`; and whether they were made now.

    A model that was measured under another name, as the best stage is before it becomes the candidate, is not asked again.
    """
    items = bank(suite_items(workspace), which, opened_for=opened_for)
    name = f"results.{model}.{which}"
    seed = workspace.config.evaluation.seed
    fingerprint = content_hash(_decided_by(workspace, folder_hash(folder), items, style_name(target_style(workspace))))
    if _is_current(workspace, name, fingerprint):
        return list(workspace.store.read_dataset(name, ItemResult)), False
    others = [other for other in workspace.store.names() if other.startswith("results.") and other.endswith(f".{which}")]
    same = next((other for other in others if _is_current(workspace, other, fingerprint)), None)
    if same is not None:
        found = list(workspace.store.read_dataset(same, ItemResult))
    else:
        from castalia.evaluation.targets.local import LocalTarget, release_memory

        found = evaluate(
            LocalTarget(folder, name=model),
            items,
            sandbox=sandbox,
            style=target_style(workspace),
            seed=seed,
            on_progress=on_progress,
            packages=workspace.config.sandbox.packages,
        )
        release_memory()
    workspace.store.write_dataset(name, ItemResult, found, fingerprint=fingerprint)
    return found, same is None


def measure_native(workspace: Workspace, sandbox: Sandbox, folder: Path) -> bool:
    """The base model on GATE through its own chat template, stored as `results.native.gate`; whether that was made now."""
    items = bank(suite_items(workspace), "gate")
    seed = workspace.config.evaluation.seed
    fingerprint = content_hash(_decided_by(workspace, folder_hash(folder), items, "native"))
    if _is_current(workspace, "results.native.gate", fingerprint):
        return False
    from castalia.evaluation.native import evaluate_native
    from castalia.evaluation.targets.local import release_memory

    if not (folder / "chat_template.jinja").is_file() and "chat_template" not in _tokenizer_settings(folder):
        return False  # the model has no form of its own: there is nothing to compare with
    found = evaluate_native(folder, items, sandbox=sandbox, seed=seed)
    release_memory()
    workspace.store.write_dataset("results.native.gate", ItemResult, found, fingerprint=fingerprint)
    return True


def decision_fingerprint(number: int, before: Sequence[ItemResult], after: Sequence[ItemResult]) -> str:
    """What dataset `decisions` is filed under: the round and the very results it compared."""
    return content_hash([number, sorted(result.id for result in before), sorted(result.id for result in after)])


def store_failures(
    workspace: Workspace, results: Sequence[ItemResult], target: str, *, source: FailureSource, decided_by: Any = None
) -> list[Failure]:
    """The failures among DEV results, stored as the input dataset `failures` of the replay set.

    Their results are kept with them, as `results.mined.dev`: those of the model itself are replaced when it is measured again, and a
    released correction must still lead to the answer it corrects. `decided_by` is what decided the results, by default their ids.
    """
    failures = mine(bank(suite_items(workspace), "dev"), results, target)
    known = decided_by or sorted(result.id for result in results)
    identity = workspace.store.put_json(_noted(FailureOrigin(source, target), known))
    wrong = [result for result in results if not result.passed]
    workspace.store.write_dataset("results.mined.dev", ItemResult, wrong, fingerprint=identity)
    workspace.store.write_dataset("failures", Failure, failures, fingerprint=identity)
    return failures


def failure_origin(workspace: Workspace) -> FailureOrigin | None:
    """Whose failures are stored; None where there are none, or where nothing notes it."""
    if not workspace.store.has("failures"):
        return None
    try:
        noted = workspace.store.get_json(workspace.store.manifest("failures").fingerprint, "failures")
    except CorruptObject:
        return None  # written through the store's own interface, which asks for no note
    return FailureOrigin(**noted["failures"])


def failures_in_words(workspace: Workspace) -> str:
    """Which failures the replay set is made from now, for people."""
    if not workspace.store.has("failures"):
        if workspace.config.evaluation.recorded_answers is not None:
            return f"none yet; a run takes them from {_SOURCES['recorded']}"
        return "none yet, so the replay set stays empty; `castalia eval` or `castalia loop` finds some"
    origin = failure_origin(workspace)
    rows = workspace.store.manifest("failures").rows
    return f"{rows} of {origin.target}, from {_SOURCES[origin.source]}" if origin else f"{rows} of unknown origin"


def why_eval_is_not_mined(workspace: Workspace) -> str | None:
    """What comes before the failures of `castalia eval`, in words; None where they are what the replay set is made from."""
    origin = failure_origin(workspace)
    if origin is not None and origin.source == "loop":
        return f"the replay set is made from {_SOURCES['loop']}"
    if workspace.config.evaluation.recorded_answers is not None:
        return f"the replay set is made from {_SOURCES['recorded']}; set it to null to practise on measured failures"
    return None


def mine_recorded_failures(workspace: Workspace, sandbox: Sandbox) -> list[Failure]:
    """Grades the recorded DEV answers that the configuration names and stores the failures among them, unless a loop has gone on from them.

    Recorded answers make a data-only run possible, and its released bytes the same on every machine.
    """
    origin = failure_origin(workspace)
    if origin is not None and origin.source == "loop":
        return list(workspace.store.read_dataset("failures", Failure))
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
    name = workspace.config.target.model
    # Known before the vocabulary is loaded, which takes longer than everything else a fresh run does.
    decided_by = _decided_by(workspace, f"{name}, recorded in {recorded}", items, style_name(Style()))
    if origin is not None and workspace.store.manifest("failures").fingerprint == content_hash(_noted(origin, decided_by)):
        return list(workspace.store.read_dataset("failures", Failure))
    target: Target = RecordedTarget(Path(path), items, gpt_oss_vocabulary(), name=name)
    measured = evaluate(target, items, sandbox=sandbox, packages=workspace.config.sandbox.packages)
    # reading them back took this machine some time, writing them took none of it: what is stored is the same everywhere
    results = [result.model_copy(update={"seconds": 0.0}) for result in measured]
    return store_failures(workspace, results, name, source="recorded", decided_by=decided_by)


def _noted(origin: FailureOrigin, decided_by: Any) -> dict[str, Any]:
    return {"failures": origin._asdict(), "decided_by": decided_by}


def _decided_by(workspace: Workspace, target: str, items: Sequence[SuiteItem], style: str) -> dict[str, Any]:
    """What scores are comparable under, before the target is loaded, and what executed answers meet."""
    config = workspace.config
    key = ScoreKey(
        suite_sha256=suite_hash(items),
        target=target,
        style=style,
        seed=config.evaluation.seed,
        temperature=0.0,
        scorer_version=castalia.__version__,
    )
    return {"score": key.model_dump(mode="json"), "runtime": runtime_identity(config.sandbox.runners, config.sandbox.packages)}


def _is_current(workspace: Workspace, name: str, fingerprint: str) -> bool:
    return workspace.store.has(name) and workspace.store.manifest(name).fingerprint == fingerprint


def _tokenizer_settings(folder: Path) -> str:
    path = folder / "tokenizer_config.json"
    return path.read_text(encoding="utf-8") if path.is_file() else ""
