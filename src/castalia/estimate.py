"""What the stages will ask and what it will cost, before they ask.

calls   = passages, nodes, pairs ... that are counted where their dataset exists, else follow from what is upstream
tokens  = the mean of the same prompt's answers in the ledger, drawn toward typical values while there are few of them

Every figure comes with a range. Before anything was collected the number of pages is only bounded, by `sources.max_pages`, and the
estimate says so.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from castalia.engine import PlannedStage, Stage
from castalia.oracle import REFERENCE_PRICE, PromptTotals, RoleConfig, open_ledger, role_config
from castalia.oracle.prices import named_price
from castalia.records import CATEGORIES, Document
from castalia.records.sections import blocks_of, sections, show_blocks
from castalia.workspace import CHARACTERS_PER_TOKEN, EXPECTED_ANSWER_TOKENS, Workspace

PASSAGES_OF_A_PAGE = 2.5
WORDS_OF_A_PAGE = 2500
TOKENS_OF_A_WORD = 1.6
"""With block numbers and code, as shown in a prompt."""
PSEUDO_CALLS = 2
"""Typical values weigh as much as so many answers in the ledger."""
UNSURE = 0.4
"""Relative error of a typical value that nothing confirms yet."""
SURE = 0.02


class Typical(NamedTuple):
    """One call of a prompt where the ledger knows nothing: means over the example in `examples/mako`."""

    role: str
    tokens_in: float
    """Beside the passage."""
    tokens_out: float
    shows_passage: bool = False


TYPICAL: Mapping[str, Typical] = {
    "taxonomy": Typical("writer", 700, 1820),
    "design_suite": Typical("writer", 2190, 560),
    "plan_queries_knowledge": Typical("writer", 1200, 370),
    "plan_queries_skills": Typical("writer", 1080, 340),
    "plan_queries_behavioral": Typical("writer", 1070, 360),
    "plan_queries_procedural": Typical("writer", 1070, 360),
    "review_coverage": Typical("writer", 2850, 70),
    "extract": Typical("extractor", 3100, 860, shows_passage=True),
    "build_sft": Typical("writer", 3600, 990, shows_passage=True),
    "trace_turn": Typical("writer", 2930, 52),
    "write_candidates": Typical("writer", 830, 210),
    "judge_candidates": Typical("judge", 950, 110),
    "target_answer": Typical("target", 60, 50),
    "judge_rewards": Typical("judge", 970, 120),
    "correct_failure": Typical("writer", 720, 50),
    "facts": Typical("judge", 1610, 250),
    "consistency": Typical("judge", 1680, 320),
    "policy": Typical("judge", 1120, 180),
}


class Ratio(NamedTuple):
    """How many calls of one prompt follow from those of another."""

    value: float
    error: float
    """Relative."""


class Count(NamedTuple):
    """Expected calls."""

    calls: float
    error: float = 0.0
    """Relative."""


@dataclass(frozen=True)
class Sizes:
    """What the numbers of calls follow from."""

    nodes: Count
    pages: Count
    passages: Count
    passage_tokens: float
    dev_items: float
    failures: Count
    is_bounded: bool
    """Whether `pages` is only the upper bound of the configuration."""


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


class Seen:
    """What the ledger knows about prompts."""

    def __init__(self, rows: Sequence[PromptTotals]):
        self._rows = rows

    def asked(self, stage: str, prompt: str, model: tuple[str, str] | None = None) -> int:
        """Calls so far, repairs not counted; of one (provider, model) only, where given."""
        return sum(row.calls - row.repairs for row in self._of(stage, prompt) if model in (None, (row.provider, row.model)))

    def _of(self, stage: str, prompt: str) -> list[PromptTotals]:
        return [row for row in self._rows if row.stage == stage and row.prompt == prompt]

    def ratio(self, stage: str, prompt: str, base: tuple[str, str], typical: float) -> Ratio:
        """Calls of `prompt` per call of `base` = (stage, prompt)."""
        calls, bases = self.asked(stage, prompt), self.asked(*base)
        value = (calls + PSEUDO_CALLS * typical) / (bases + PSEUDO_CALLS)
        return Ratio(value, min(UNSURE, max(SURE, 1 / math.sqrt(bases + 1))) if bases else UNSURE)

    def repairs(self, stage: str, prompt: str) -> float:
        """Repairs per call."""
        rows = self._of(stage, prompt)
        return sum(row.repairs for row in rows) / max(1, sum(row.calls - row.repairs for row in rows))

    def tokens(self, stage: str, prompt: str, model: tuple[str, str], typical: tuple[float, float]) -> tuple[float, float, float, int]:
        """(in, out, relative error, answers it rests on) of one call: of the same model where it has answered, else of any."""
        rows = self._of(stage, prompt)
        rows = [row for row in rows if (row.provider, row.model) == model] or rows
        calls = sum(row.calls for row in rows)
        tokens_in, tokens_out = (
            (sum(getattr(row, name) for row in rows) + PSEUDO_CALLS * usual) / (calls + PSEUDO_CALLS)
            for name, usual in zip(("tokens_in", "tokens_out"), typical, strict=True)
        )
        if calls < 2:
            return tokens_in, tokens_out, UNSURE, calls
        spread = max(_spread(rows, "in", calls), _spread(rows, "out", calls))
        return tokens_in, tokens_out, min(UNSURE, max(SURE, 2 * spread / math.sqrt(calls))), calls


def _spread(rows: Sequence[PromptTotals], way: str, calls: int) -> float:
    """Standard deviation over mean."""
    mean = sum(getattr(row, f"tokens_{way}") for row in rows) / calls
    square = sum(getattr(row, f"squares_{way}") for row in rows) / calls
    return math.sqrt(max(0.0, square - mean * mean)) / mean if mean else 0.0


Asked = Mapping[str, Count]


def sizes_of(workspace: Workspace, seen: Seen) -> Sizes:
    """Counts what is in the store, and bounds or expects what isn't there yet."""
    store, params = workspace.store, workspace.params
    nodes = (
        Count(store.manifest("taxonomy").rows)
        if store.has("taxonomy")
        else Count(len(CATEGORIES) * _param(params, "taxonomy", "nodes_per_category", 4), 0.1)
    )
    max_words = _param(params, "extract", "max_words", 1200)
    has_documents = store.has("documents")
    passages, tokens, bounded = Count(0), max_words * TOKENS_OF_A_WORD * 0.7, False
    if has_documents:
        documents = list(store.read_dataset("documents", Document))
        pages = Count(len(documents))
        passages, tokens = _passages(documents, max_words)
    else:
        known = store.manifest("pages").rows if store.has("pages") else None
        bounded = known is None
        pages = Count(workspace.config.sources.max_pages if known is None else known, UNSURE if bounded else 0.1)
        passages = Count(pages.calls * max(PASSAGES_OF_A_PAGE, WORDS_OF_A_PAGE / max_words), UNSURE)
    dev_items = nodes.calls * _param(params, "design_suite", "dev", 1)
    if store.has("failures"):
        failures = Count(store.manifest("failures").rows)
    elif workspace.config.evaluation.recorded_answers is not None:
        failures = Count(dev_items * 0.8, UNSURE)  # an untrained target fails most of them
    else:
        failures = Count(0)
    return Sizes(nodes, pages, passages, tokens, dev_items, failures, bounded)


def _passages(documents: Sequence[Document], max_words: int) -> tuple[Count, float]:
    """How many passages there are, and the mean length of one in tokens as a prompt shows it."""
    count = characters = 0
    for document in documents:
        for section in sections(document, max_words):
            count += 1
            characters += len(show_blocks(blocks_of(document, section)))
    return Count(count), characters / max(count, 1) / CHARACTERS_PER_TOKEN


def _param(params: Mapping[str, Any], stage: str, name: str, default: int) -> int:
    return int(getattr(params.get(stage), name, default))


def _taught(sizes: Sizes, seen: Seen) -> Count:
    """Passages that atoms were found in."""
    share = seen.ratio("build_sft", "build_sft", ("extract", "extract"), 0.95)
    return Count(sizes.passages.calls * min(1.0, share.value), _both(sizes.passages.error, share.error * 0.2))


def _both(*errors: float) -> float:
    return math.sqrt(sum(error * error for error in errors))


def _suite(sizes: Sizes, _: Mapping[str, Any], __: Seen) -> Asked:
    return {"design_suite": sizes.nodes}


def _queries(_: Sizes, params: Mapping[str, Any], seen: Seen) -> Asked:
    reviews = _param(params, "plan_queries", "max_reviews", 2)
    return {**{f"plan_queries_{category}": Count(1) for category in CATEGORIES}, "review_coverage": Count(reviews, 0.25 if reviews else 0)}


def _extract(sizes: Sizes, _: Mapping[str, Any], __: Seen) -> Asked:
    return {"extract": sizes.passages}


def _sft(sizes: Sizes, params: Mapping[str, Any], seen: Seen) -> Asked:
    taught = _taught(sizes, seen)
    turns = seen.ratio("build_sft", "trace_turn", ("build_sft", "build_sft"), 0.85 * _param(params, "build_sft", "max_traces", 1))
    return {"build_sft": taught, "trace_turn": Count(taught.calls * turns.value, _both(taught.error, turns.error))}


def _preferences(sizes: Sizes, params: Mapping[str, Any], seen: Seen) -> Asked:
    pairs = min(_param(params, "build_preferences", "pairs", 12), _taught(sizes, seen).calls)
    judged = seen.ratio("build_preferences", "judge_candidates", ("build_preferences", "write_candidates"), 1.5)
    return {"write_candidates": Count(pairs), "judge_candidates": Count(pairs * judged.value, judged.error)}


def _rewards(sizes: Sizes, params: Mapping[str, Any], seen: Seen) -> Asked:
    prompts = min(_param(params, "build_rewards", "prompts", 8), _taught(sizes, seen).calls)
    return {"target_answer": Count(prompts * _param(params, "build_rewards", "answers", 4)), "judge_rewards": Count(prompts)}


def _replay(sizes: Sizes, _: Mapping[str, Any], seen: Seen) -> Asked:
    turns = seen.ratio("build_replay", "trace_turn", ("build_replay", "correct_failure"), 0.125)
    return {"correct_failure": sizes.failures, "trace_turn": Count(sizes.failures.calls * turns.value, turns.error)}


def _verify(sizes: Sizes, params: Mapping[str, Any], seen: Seen) -> Asked:
    """Records are judged by passage; preferences, rewards and replay by category."""
    taught = _taught(sizes, seen)
    parts = len(CATEGORIES)
    capped = (_param(params, "build_preferences", "pairs", 12), _param(params, "build_rewards", "prompts", 8), sizes.failures.calls)
    others = sum(min(parts, most, taught.calls) for most in capped[:2]) + min(parts, capped[2])
    asked = Count(taught.calls + others, _both(taught.error, 0.05))
    facts = seen.ratio("verify", "facts", ("verify", "consistency"), 0.8)
    return {"consistency": asked, "policy": asked, "facts": Count(asked.calls * min(1.0, facts.value), _both(asked.error, facts.error))}


ASKED: Mapping[str, Callable[[Sizes, Mapping[str, Any], Seen], Asked]] = {
    "taxonomy": lambda _, __, ___: {"taxonomy": Count(1)},
    "design_suite": _suite,
    "plan_queries": _queries,
    "extract": _extract,
    "build_sft": _sft,
    "build_preferences": _preferences,
    "build_rewards": _rewards,
    "build_replay": _replay,
    "verify": _verify,
}
"""Calls by prompt of every shipped stage that asks. Stages of plug-ins say theirs by `Stage.estimate`."""

KEPT = frozenset({"taxonomy", "design_suite", "plan_queries", "extract", "build_sft"})
"""Stages whose questions don't change when pages are added: what the ledger answered of them stays answered."""


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
        if step.state == "fresh" or not stage.oracle:
            continue
        if step.name in ASKED:
            asked = ASKED[step.name](sizes, workspace.params, seen)
            found.append(_priced(step, stage, asked, sizes, seen, workspace.config.oracles))
        elif step.calls is not None:
            asked = {_longest(stage): Count(step.calls, UNSURE)}
            found.append(_priced(step, stage, asked, sizes, seen, workspace.config.oracles))
    return found


def _longest(stage: Stage) -> str:
    return max(stage.prompts, key=lambda path: path.stat().st_size).stem if stage.prompts else ""


def _priced(step: PlannedStage, stage: Stage, asked: Asked, sizes: Sizes, seen: Seen, roles: Mapping[str, RoleConfig]) -> StageEstimate:
    calls = calls_error = usd_error = equivalent = 0.0
    usd: float | None = 0.0
    rests: list[int] = []
    by_prompt: dict[str, float] = {}
    for prompt, count in asked.items():
        typical = TYPICAL.get(prompt, Typical(stage.oracle[0], 1000, EXPECTED_ANSWER_TOKENS, shows_passage=True))
        config = role_config(roles, typical.role)
        model = (config.provider, config.model or config.provider)
        answered = seen.asked(step.name, prompt, model) if step.name in KEPT or step.state != "blocked" else 0
        left = max(0.0, count.calls - answered) * (1 + seen.repairs(step.name, prompt))
        usual = (typical.tokens_in + (sizes.passage_tokens if typical.shows_passage else 0), typical.tokens_out)
        tokens_in, tokens_out, error, rest = seen.tokens(step.name, prompt, model, usual)
        calls, calls_error = calls + left, calls_error + left * count.error
        by_prompt[prompt] = left
        price, reference = config.price(), named_price(REFERENCE_PRICE)
        cost = left * (price or reference).usd(1, 0) * tokens_in + left * (price or reference).usd(0, 1) * tokens_out
        equivalent += left * (reference.usd(1, 0) * tokens_in + reference.usd(0, 1) * tokens_out)
        usd = None if usd is None or price is None else usd + cost
        usd_error += cost * _both(count.error, error)
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
