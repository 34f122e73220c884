"""How many calls a stage will make: counted where its input exists, else following from what is upstream."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from castalia.errors import StoreError
from castalia.preview.seen import UNSURE, Seen
from castalia.quality.canaries import KINDS, canaries_of_each_kind
from castalia.records import CATEGORIES, Document
from castalia.records.sections import blocks_of, sections, show_blocks
from castalia.store import Store
from castalia.workspace import CHARACTERS_PER_TOKEN, Workspace

PASSAGES_OF_A_PAGE = 2.5
WORDS_OF_A_PAGE = 2500
EXAMPLES_OF_A_PASSAGE = 0.6
"""Of those that are allowed."""
TOKENS_OF_A_WORD = 1.6
"""With block numbers and code, as shown in a prompt."""
TOKENS_OF_A_PASSAGE = 150
"""Of a fetched page, with its address."""
SHOWN_OF_PASSAGES = 0.5
"""Pages that can't be read or say nothing of a claim, and passages that serve several claims, leave so many of the most that are shown."""
SHARED = 0.5
"""Of the prompts that could have both a pair and a reward record, those that do: not known before there are examples."""


class Count(NamedTuple):
    """Expected calls."""

    calls: float
    error: float = 0.0
    """Relative."""
    more_tokens: float = 0.0
    """Of each prompt beside its usual ones, where params make it longer."""


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


Asked = Mapping[str, Count]


def sizes_of(workspace: Workspace, seen: Seen) -> Sizes:
    """Counts what is in the store, and bounds or expects what isn't there yet."""
    store, params = workspace.store, workspace.params
    known_nodes, known, known_failures = (_rows(store, dataset) for dataset in ("taxonomy", "pages", "failures"))
    nodes = Count(len(CATEGORIES) * _param(params, "taxonomy", "nodes_per_category", 4), 0.1) if known_nodes is None else Count(known_nodes)
    max_words = _param(params, "extract", "max_words", 1200)
    passages, tokens, bounded = Count(0), max_words * TOKENS_OF_A_WORD * 0.7, False
    if _rows(store, "documents") is not None:
        documents = store.read_dataset("documents", Document)
        pages = Count(len(documents))
        passages, tokens = _passages(documents, max_words)
    else:
        bounded = known is None
        pages = Count(workspace.config.sources.max_pages if known is None else known, UNSURE if bounded else 0.1)
        passages = Count(pages.calls * max(PASSAGES_OF_A_PAGE, WORDS_OF_A_PAGE / max_words), UNSURE)
    dev_items = nodes.calls * _param(params, "design_suite", "dev", 1)
    if known_failures is not None:
        failures = Count(known_failures)
    elif workspace.config.evaluation.recorded_answers is not None:
        failures = Count(dev_items * 0.8, UNSURE)  # an untrained target fails most of them
    else:
        failures = Count(0)
    return Sizes(nodes, pages, passages, tokens, dev_items, failures, bounded)


def _rows(store: Store, dataset: str) -> int | None:
    """None where there is none, or one that can't be read and so will be made again."""
    try:
        return store.manifest(dataset).rows if store.has(dataset) else None
    except StoreError:
        return None


def _passages(documents: Iterable[Document], max_words: int) -> tuple[Count, float]:
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
    return Count(sizes.passages.calls * min(1.0, share.value), both(sizes.passages.error, share.error * 0.2))


def both(*errors: float) -> float:
    """The error of a product of independent factors."""
    return math.sqrt(sum(error * error for error in errors))


def _suite(sizes: Sizes, _: Mapping[str, Any], __: Seen) -> Asked:
    return {"design_suite": sizes.nodes}


def _queries(_: Sizes, params: Mapping[str, Any], seen: Seen) -> Asked:
    reviews = _param(params, "plan_queries", "max_reviews", 2)
    searched = set(getattr(params.get("collect"), "search", ())) - {"site"}
    collected = _param(params, "plan_queries", "max_collected_reviews", 0) if searched else 0
    examples = _param(params, "plan_queries", "max_example_reviews", 0) if searched else 0
    return {
        **{f"plan_queries_{category}": Count(1) for category in CATEGORIES},
        "review_coverage": Count(reviews, 0.25 if reviews else 0),
        **({"review_collected": Count(collected, 0.5)} if collected else {}),
        **({"review_examples": Count(examples, 0.5)} if examples else {}),
    }


def _extract(sizes: Sizes, _: Mapping[str, Any], __: Seen) -> Asked:
    return {"extract": sizes.passages}


def _sft(sizes: Sizes, params: Mapping[str, Any], seen: Seen) -> Asked:
    taught = _taught(sizes, seen)
    turns = seen.ratio("build_sft", "trace_turn", ("build_sft", "build_sft"), 0.85 * _param(params, "build_sft", "max_traces", 1))
    return {"build_sft": taught, "trace_turn": Count(taught.calls * turns.value, both(taught.error, turns.error))}


def _preferences(sizes: Sizes, params: Mapping[str, Any], seen: Seen) -> Asked:
    pairs = min(_param(params, "build_preferences", "pairs", 12), _taught(sizes, seen).calls)
    judged = seen.ratio("build_preferences", "judge_candidates", ("build_preferences", "write_candidates"), 1.5)
    own = pairs * _param(params, "build_preferences", "target_answers", 1)
    return {"write_candidates": Count(pairs), "judge_candidates": Count(pairs * judged.value, judged.error), "target_answer": Count(own)}


def _rewards(sizes: Sizes, params: Mapping[str, Any], seen: Seen) -> Asked:
    """Where a prompt has a pair, too, its first answers are there already."""
    prompts = min(_param(params, "build_rewards", "prompts", 8), _taught(sizes, seen).calls)
    answers, there = _param(params, "build_rewards", "answers", 4), _param(params, "build_preferences", "target_answers", 1)
    both_want = min(prompts, _param(params, "build_preferences", "pairs", 12)) * min(answers, there)
    asked = prompts * answers - SHARED * both_want
    return {"target_answer": Count(asked, SHARED * both_want / max(asked, 1)), "judge_rewards": Count(prompts)}


def _replay(sizes: Sizes, _: Mapping[str, Any], seen: Seen) -> Asked:
    turns = seen.ratio("build_replay", "trace_turn", ("build_replay", "correct_failure"), 0.125)
    return {"correct_failure": sizes.failures, "trace_turn": Count(sizes.failures.calls * turns.value, turns.error)}


def _verify(sizes: Sizes, params: Mapping[str, Any], seen: Seen) -> Asked:
    """Records are judged by passage; preferences, rewards and replay by category; canaries each by itself."""
    taught = _taught(sizes, seen)
    parts = len(CATEGORIES)
    capped = (_param(params, "build_preferences", "pairs", 12), _param(params, "build_rewards", "prompts", 8), sizes.failures.calls)
    others = sum(min(parts, most, taught.calls) for most in capped[:2]) + min(parts, capped[2])
    records = taught.calls * EXAMPLES_OF_A_PASSAGE * _param(params, "build_sft", "max_examples", 8)
    canaries = len(KINDS) * canaries_of_each_kind(round(records))
    asked = Count(taught.calls + others + canaries, both(taught.error, 0.05))
    judged = {"consistency": asked, "policy": asked}
    if _searched(params):
        claims = _claims(asked, seen)
        facts = seen.ratio("verify", "facts", ("verify", "claims"), 0.9)
        passages = _param(params, "verify", "max_claims", 3) * 2 * _param(params, "verify", "hits_per_claim", 5)
        more = SHOWN_OF_PASSAGES * passages * TOKENS_OF_A_PASSAGE
        return judged | {"claims": claims, "facts": Count(claims.calls * min(1.0, facts.value), both(claims.error, facts.error), more)}
    facts = seen.ratio("verify", "facts", ("verify", "consistency"), 0.8)
    return judged | {"facts": Count(asked.calls * min(1.0, facts.value), both(asked.error, facts.error))}


def _searched(params: Mapping[str, Any]) -> tuple[str, ...]:
    """Providers that facts are verified with."""
    return getattr(params.get("verify"), "search", ())


def _claims(consistency: Count, seen: Seen) -> Count:
    """Records that are taken apart, each by a question of its own."""
    records = seen.ratio("verify", "claims", ("verify", "consistency"), 2.0)
    return Count(consistency.calls * records.value, both(consistency.error, records.error))


def searches(records: float, params: Mapping[str, Any]) -> float:
    """Queries that search providers are asked at most to verify the facts of so many records: one for each claim and provider."""
    return records * _param(params, "verify", "max_claims", 3) * len(_searched(params))


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
"""Calls by prompt of every shipped stage that asks."""

KEPT = frozenset({"taxonomy", "design_suite", "plan_queries", "extract", "build_sft"})
"""Stages whose questions don't change when pages are added: what the ledger answered of them stays answered."""
KEPT_PROMPTS = frozenset({"consistency", "policy", "claims"})
"""Prompts of which the same holds: they show the records of one passage, where `facts` shows passages of all other pages."""
