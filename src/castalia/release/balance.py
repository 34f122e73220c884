"""How the records of a release are spread, and what length and style give away.

A preference set in which the better answer is the longer one teaches length (Singhal et al., "A Long Way to Go", arXiv:2310.03716); one
in which it alone has code blocks teaches code blocks. So both are measured for every set and said on its card.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, median
from typing import Any, TypeVar

from castalia.harmony import Vocabulary
from castalia.quality.parts import kind_of
from castalia.quality.quotas import excesses, shortages
from castalia.records import CATEGORIES, DATASETS, Mix, PreferencePair, Record, Reject, RewardRecord, SFTExample, TaxonomyNode
from castalia.release.style import STYLES, styles_of

R = TypeVar("R", bound=Record)
BALANCED = 0.1
"""A set is called balanced in length up to this bias: at 0.1 one answer is on average 22 % longer than the other."""


def measure_balance(
    datasets: Mapping[str, Sequence[Record]],
    nodes: Sequence[TaxonomyNode],
    vocabulary: Vocabulary,
    *,
    settings: Mix = Mix(),  # noqa: B008 - frozen
    left_out: Mapping[str, Sequence[Reject]] | None = None,
) -> dict[str, Any]:
    """Counts, coverage, length and style of every set, as plain values; lengths are in GPT-OSS tokens.

    `coverage` is the share of taxonomy nodes that have a record; `empty` names the others. `left_out` counts
    what the mix left out by its reason, `short` names the parts with fewer records than the quotas of `settings` ask for, `over` those
    with a larger share, because the records allow no smaller one.
    """
    keys = sorted(node.key for node in nodes)
    short, over = shortages(datasets, settings, nodes), excesses(datasets, settings)
    measured: dict[str, Any] = {}
    for name in DATASETS:
        records = datasets.get(name, ())
        by_node = Counter(_field(record, "node") for record in records)
        filled = [key for key in keys if by_node[key]]
        measured[name] = {
            "records": len(records),
            "by_category": _crossed(records),
            **{f"by_{name}": _by_value(records, name) for name in ("domain", "difficulty", "style")},
            "by_cell": dict(sorted(Counter(_cell(record) for record in records).items())),
            "by_node": {key: by_node[key] for key in keys},
            "coverage": len(filled) / len(keys) if keys else None,
            "empty": [key for key in keys if not by_node[key]],
            "left_out": dict(sorted(Counter(reject.reason for reject in (left_out or {}).get(name, ())).items())),
            "short": [str(one) for one in short if one.dataset == name],
            "over": [str(one) for one in over if one.dataset == name],
        }
    measured["sft"]["length"] = _by_kind(_of(datasets, "sft", SFTExample), vocabulary)
    measured["preferences"]["bias"] = pair_bias(_of(datasets, "preferences", PreferencePair), vocabulary)
    measured["rewards"]["bias"] = reward_bias(_of(datasets, "rewards", RewardRecord), vocabulary)
    return measured


def pair_bias(pairs: Sequence[PreferencePair], vocabulary: Vocabulary) -> dict[str, Any]:
    """What length and style say of which answer is the better one.

    `length` is the mean of (chosen - rejected) / (chosen + rejected) over pairs, in [-1, 1], 0 without bias; `longer_chosen` the share of
    pairs of unequal length in which the longer one was chosen; `style` the share of chosen and of rejected answers with each trait.
    `seen_modes` counts the failures that the judge saw in every order; `on_policy` pairs whose answers are both the target's own.
    `orders_agree` and `judge_agrees` are means over prompts of what the pairs say of their judge: how far its two orders rank alike, and
    how far it ranks as execution does. Rankings that no margin survived are rejects, so it is the agreement where a pair was made. None
    where there is nothing to measure.
    """
    lengths = [(_tokens(pair.chosen.text, vocabulary), _tokens(pair.rejected.text, vocabulary)) for pair in pairs]
    unequal = [better > worse for better, worse in lengths if better != worse]
    bias = fmean((better - worse) / max(1, better + worse) for better, worse in lengths) if lengths else None
    chosen, rejected = (_shares([getattr(pair, which).text for pair in pairs]) for which in ("chosen", "rejected"))
    return {
        "chosen_tokens": fmean(better for better, _ in lengths) if lengths else None,
        "rejected_tokens": fmean(worse for _, worse in lengths) if lengths else None,
        "length": bias,
        "longer_chosen": fmean(unequal) if unequal else None,
        "balanced": None if bias is None else abs(bias) <= BALANCED,
        "style": {trait: {"chosen": chosen[trait], "rejected": rejected[trait]} for trait in STYLES} if pairs else {},
        "failure_modes": dict(sorted(Counter(mode for pair in pairs for mode in pair.rejected.failure_modes).items())),
        "seen_modes": dict(sorted(Counter(mode for pair in pairs for mode in pair.rejected.seen_modes).items())),
        "levels": dict(sorted(Counter(pair.rejected.level for pair in pairs).items())),
        "chosen_levels": dict(sorted(Counter(pair.chosen.level for pair in pairs).items())),
        "decided_by": dict(sorted(Counter(pair.decided_by for pair in pairs).items())),
        "on_policy": sum(pair.on_policy for pair in pairs),
        "margin": fmean(pair.margin for pair in pairs) if pairs else None,
        "orders_agree": _by_prompt((pair.prompt.messages[0].content, pair.orders_agree) for pair in pairs),
        "judge_agrees": _by_prompt((pair.prompt.messages[0].content, pair.judge_agrees) for pair in pairs),
    }


def reward_bias(records: Sequence[RewardRecord], vocabulary: Vocabulary) -> dict[str, Any]:
    """How rewards go with the length of answers to the same prompt: mean over pairs of answers with unequal length and reward of +1
    where the longer one got more, -1 where less. None where no two answers can be told apart."""
    signs: list[int] = []
    rewards = [answer.reward for record in records for answer in record.answers]
    for record in records:
        scored = [(_tokens(answer.text, vocabulary), answer.reward) for answer in record.answers if answer.reward is not None]
        for number, (length, reward) in enumerate(scored):
            signs += [
                1 if (length > other) == (reward > less) else -1 for other, less in scored[:number] if length != other and reward != less
            ]
    given = [reward for reward in rewards if reward is not None]
    return {
        "length": fmean(signs) if signs else None,
        "compared": len(signs),
        "mean_reward": fmean(given) if given else None,
        "without_reward": len(rewards) - len(given),
        "disagreements": sum(answer.disagree for record in records for answer in record.answers),
    }


def balance_lines(measured: Mapping[str, Any]) -> list[str]:
    """The figures as Markdown for people."""
    lines = ["| dataset | nodes covered | records by category and kind |", "|---|---|---|"]
    for name, figures in measured.items():
        counts = "; ".join(
            f"{category}: {', '.join(f'{count} {kind}' for kind, count in kinds.items())}"
            for category, kinds in figures["by_category"].items()
        )
        covered = "-" if figures["coverage"] is None else f"{figures['coverage']:.0%}"
        lines.append(f"| {name} | {covered} | {counts or '-'} |")
    lines.append("")
    for name, figures in measured.items():
        for what in ("domain", "difficulty", "style"):
            counts = ", ".join(f"{count} {value}" for value, count in figures[f"by_{what}"].items())
            lines += [f"* {name} by {what}: {counts}"] if counts else []
    lines += ["", *_pair_lines(measured["preferences"]["bias"]), *_reward_lines(measured["rewards"]["bias"])]
    lines += [
        f"* {name}: nothing about {', '.join(f'`{key}`' for key in figures['empty'])}"
        for name, figures in measured.items()
        if figures["empty"] and figures["records"]
    ]
    for name, figures in measured.items():
        out = ", ".join(f"{count} {reason}" for reason, count in figures["left_out"].items())
        lines += [f"* {name}: left out by the mix: {out}"] if out else []
        lines += [f"* {name}: fewer than its quota, {short}" for short in figures["short"]]
        lines += [f"* {name}: more than its share, as the records allow no less, {over}" for over in figures["over"]]
    return lines


def _pair_lines(bias: Mapping[str, Any]) -> list[str]:
    if bias["length"] is None:
        return []
    said = "balanced" if bias["balanced"] else "NOT balanced: train with a loss that is normalised by length, or add pairs"
    lines = [
        f"* Length of pairs: {said}. Chosen {bias['chosen_tokens']:.1f} tokens on average, rejected {bias['rejected_tokens']:.1f}; "
        f"bias {bias['length']:+.3f} (0 is none)."
    ]
    apart = [(trait, share) for trait, share in bias["style"].items() if abs(share["chosen"] - share["rejected"]) > BALANCED]
    traits = "; ".join(f"{trait} in {share['chosen']:.0%} of chosen and {share['rejected']:.0%} of rejected" for trait, share in apart)
    lines.append(f"* Style of pairs: {traits or f'no trait differs by more than {BALANCED:.0%}'}.")
    modes, seen, levels = (_counted(bias[name]) for name in ("failure_modes", "seen_modes", "levels"))
    lines.append(f"* What is wrong with rejected answers: {modes or 'untagged'}; of these the judge saw in both orders: {seen or 'none'}.")
    lines.append(f"* Rejected answers were written as: {levels}. Both answers are the target's own in {bias['on_policy']} pairs.")
    orders, execution = (bias[name] for name in ("orders_agree", "judge_agrees"))
    if orders is not None:
        against = "" if execution is None else f", and it ranks {execution:.0%} of passed and failed answers as execution does"
        lines.append(f"* The judge: its two orders rank {orders:.0%} of two answers alike{against}.")
    return lines


def _reward_lines(bias: Mapping[str, Any]) -> list[str]:
    if bias["length"] is None:
        return []
    return [
        f"* Length of rewarded answers: of two answers to one prompt the longer one got more, less the times it got less: "
        f"{bias['length']:+.2f} over {bias['compared']} comparisons (0 is none)."
    ]


def _crossed(records: Sequence[Record]) -> dict[str, dict[str, int]]:
    """Category -> kind -> count."""
    counts = Counter((_field(record, "category"), kind_of(record)) for record in records)
    return {
        category: {kind: count for (of, kind), count in sorted(counts.items()) if of == category}
        for category in CATEGORIES
        if any(of == category for of, _ in counts)
    }


def _by_kind(examples: Sequence[SFTExample], vocabulary: Vocabulary) -> dict[str, dict[str, float]]:
    """Tokens of final answers by kind."""
    lengths: dict[str, list[int]] = {}
    for example in examples:
        lengths.setdefault(example.kind, []).append(_tokens(example.conversation.messages[-1].content, vocabulary))
    return {kind: {"mean": fmean(found), "median": median(found), "longest": max(found)} for kind, found in sorted(lengths.items())}


def _by_prompt(known: Iterable[tuple[str, float | None]]) -> float | None:
    """Mean over prompts, of which each counts once however many pairs it has."""
    of_prompt = {prompt: value for prompt, value in known if value is not None}
    return fmean(of_prompt.values()) if of_prompt else None


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _by_value(records: Sequence[Record], name: str) -> dict[str, int]:
    return dict(sorted(Counter(value for record in records if (value := _field(record, name))).items()))


def _cell(record: Record) -> str:
    """Category, part of the domain, difficulty and kind."""
    values = (*(_field(record, name) for name in ("category", "domain", "difficulty")), kind_of(record))
    return " / ".join(value or "-" for value in values)


def _shares(texts: Sequence[str]) -> dict[str, float]:
    found = [styles_of(text) for text in texts]
    return {trait: fmean(trait in traits for traits in found) if found else 0.0 for trait in STYLES}


def _tokens(text: str, vocabulary: Vocabulary) -> int:
    return len(vocabulary.encode(text))


def _field(record: Record, name: str) -> str:
    return str(getattr(record, name, None) or "")


def _of(datasets: Mapping[str, Sequence[Record]], name: str, kind: type[R]) -> list[R]:
    return [record for record in datasets.get(name, ()) if isinstance(record, kind)]
