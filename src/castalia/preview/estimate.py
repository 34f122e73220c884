"""What the stages will ask and what it will cost, before they ask.

calls   = passages, nodes, pairs ... that are counted where their dataset exists, else follow from what is upstream
tokens  = the mean of the same prompt's answers in the ledger, drawn toward typical values while there are few of them

Every figure comes with a range. Before anything was collected the number of pages is only bounded, by `sources.max_pages`, and the
estimate says so.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from castalia.engine import PlannedStage, Price, Stage, stage_state
from castalia.engine.state import unchanged_prompts
from castalia.errors import StoreError
from castalia.oracle import REFERENCE_PRICE, PromptTotals, RoleConfig, open_ledger, role_config
from castalia.oracle.prices import dollars, named_price, to_nano
from castalia.preview.counts import ASKED, KEPT, KEPT_PROMPTS, Asked, Count, Sizes, both, searches, sizes_of
from castalia.preview.seen import PSEUDO_CALLS, UNSURE, Seen
from castalia.preview.typical import TYPICAL, Typical
from castalia.workspace import Workspace, role_identity

EXPECTED_ANSWER_TOKENS = 800
"""Of a prompt that nothing is known of."""


@dataclass(frozen=True)
class StageEstimate:
    """What a stage will ask. Money is None where a role's model has no known price."""

    stage: str
    calls: float
    calls_error: float
    """Absolute."""
    usd: float | None
    usd_error: float
    usd_equivalent: float
    """What the calls would cost at the reference price, for roles that cost nothing."""
    basis: str
    """Where the figures come from, in words."""
    answers: int = 0
    """Answers in the ledger that the figures rest on."""
    by_prompt: Mapping[str, float] = field(default_factory=dict[str, float])
    searches: float = 0.0
    """Queries to search providers at most; what they cost is between you and the vendor."""


def estimate(workspace: Workspace, steps: Sequence[PlannedStage]) -> list[StageEstimate]:
    """An estimate for every stage of a plan that would run and asks. Reads the store and the ledger's totals; asks nobody."""
    rows: list[PromptTotals] = []
    if workspace.ledger.is_file():
        with open_ledger(workspace.ledger, readonly=True) as ledger:
            rows = ledger.prompt_totals()
    seen = Seen(rows)
    sizes = sizes_of(workspace, seen)
    stages = {stage.name: stage for stage in workspace.stages}
    found: list[StageEstimate] = []
    for step in steps:
        stage = stages[step.name]
        if step.state == "fresh" or not stage.roles(workspace.params[stage.name]):
            continue
        edited = _edited(workspace, step, stage)
        if step.name in ASKED:
            asked = ASKED[step.name](sizes, workspace.params, seen)
            priced = _priced(step, stage, asked, sizes, seen, workspace.config.oracles, edited)
            found.append(replace(priced, searches=searches(priced.by_prompt.get("claims", 0.0), workspace.params)))
        elif step.state != "blocked":
            asked = {_longest(stage): Count(_records(workspace, stage), UNSURE)}
            found.append(_priced(step, stage, asked, sizes, seen, workspace.config.oracles, edited))
    return found


def price(workspace: Workspace) -> Price:
    """For `run_stages`: what rebuilding a stale stage asks and costs."""

    def words(step: PlannedStage) -> str:
        try:
            return in_words(next(iter(estimate(workspace, [step]))))
        except StoreError:  # what the estimate rests on is damaged, too: the decision is still a person's
            return "asks the oracle"

    return words


def in_words(found: StageEstimate) -> str:
    """What rebuilding the stage asks and costs."""
    if not round(found.calls):
        return "asks nothing new, where its questions are those that the ledger has answers to"
    money = "of unknown price" if found.usd is None else f"for {dollars(to_nano(found.usd))}"
    return f"asks about {some_calls(found.calls, found.calls_error)} {money}, beside answers in the ledger"


def some_calls(value: float, error: float) -> str:
    """A number of calls with its error, in words."""
    some = around(value, error)
    return f"{some} call{'' if some == '1' else 's'}"


def around(value: float, error: float) -> str:
    """A number with its error, where that is one at least."""
    return f"{round(value):,}" + (f" ± {math.ceil(error):,}" if error >= 0.5 else "")


def _records(workspace: Workspace, stage: Stage) -> int:
    """Records that a stage of a plug-in reads first, each taken for one call."""
    return workspace.store.manifest(stage.source).rows if workspace.store.has(stage.source) else 1


def _edited(workspace: Workspace, step: PlannedStage, stage: Stage) -> frozenset[str]:
    """Prompts of a stale stage that the ledger has no answers to, because they were edited since."""
    if step.state != "stale":
        return frozenset()
    state = stage_state(stage, workspace.params[stage.name], workspace.store, role_identity(workspace))
    return frozenset(path.stem for path in stage.prompts) - unchanged_prompts(stage, state, workspace.store)


def _longest(stage: Stage) -> str:
    return max(stage.prompts, key=lambda path: path.stat().st_size).stem if stage.prompts else ""


def _priced(
    step: PlannedStage,
    stage: Stage,
    asked: Asked,
    sizes: Sizes,
    seen: Seen,
    roles: Mapping[str, RoleConfig],
    edited: frozenset[str],
) -> StageEstimate:
    calls = calls_error = usd_error = equivalent = 0.0
    usd: float | None = 0.0
    rests: list[int] = []
    by_prompt: dict[str, float] = {}
    for prompt, count in asked.items():
        typical = TYPICAL.get(prompt, Typical(stage.oracle[0], 1000, EXPECTED_ANSWER_TOKENS, shows_passage=True))
        config = role_config(roles, typical.role)
        model = (config.provider, config.model or config.provider)
        kept = prompt not in edited and (step.name in KEPT or prompt in KEPT_PROMPTS or step.state != "blocked")
        answered = seen.asked(step.name, prompt, model) if kept else 0
        left = max(0.0, count.calls - answered) * (1 + seen.repairs(step.name, prompt))
        usual = (typical.tokens_in + count.more_tokens + (sizes.passage_tokens if typical.shows_passage else 0), typical.tokens_out)
        tokens_in, tokens_out, error, rest = seen.tokens(step.name, prompt, model, usual)
        calls, calls_error = calls + left, calls_error + left * count.error
        by_prompt[prompt] = left
        price, reference = config.price(), named_price(REFERENCE_PRICE)
        cost = left * (price or reference).usd(1, 0) * tokens_in + left * (price or reference).usd(0, 1) * tokens_out
        equivalent += left * (reference.usd(1, 0) * tokens_in + reference.usd(0, 1) * tokens_out)
        usd = None if usd is None or price is None else usd + cost
        usd_error += cost * both(count.error, error)
        if left:
            rests.append(rest)
    return StageEstimate(
        step.name,
        calls,
        calls_error,
        usd,
        usd_error,
        equivalent,
        _basis(step, sizes, min(rests, default=0)),
        min(rests, default=0),
        by_prompt,
    )


def _basis(step: PlannedStage, sizes: Sizes, answers: int) -> str:
    depends = step.name not in ("taxonomy", "design_suite", "plan_queries", "build_replay")
    if depends and sizes.is_bounded:
        return f"at most: {sizes.pages.calls:,.0f} pages, the limit sources.max_pages; nothing is collected yet"
    counted = f"{sizes.passages.calls:,.0f} passages of {sizes.pages.calls:,.0f} pages" if depends else f"{sizes.nodes.calls:,.0f} nodes"
    means = f"means of {answers:,} or more answers" if answers >= PSEUDO_CALLS else "typical lengths"
    return f"{counted}, {means}"
