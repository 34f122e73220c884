"""What a release says of itself: the dataset card and the attribution that its licences ask for."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from castalia.quality.canaries import Trial
from castalia.records import CATEGORIES, Record
from castalia.release.accept import Accepted
from castalia.release.balance import balance_lines
from castalia.release.making import Making
from castalia.release.sources import Source, licences_of

_FORMS = {
    "sft": "complete conversations to imitate",
    "preferences": "a prompt with a better and a worse answer",
    "rewards": "a prompt with a check, a reference and scored answers of the target",
    "replay": "failures of the target, corrected",
}


def dataset_card(
    name: str,
    making: Making,
    accepted: Accepted,
    sources: Sequence[Source],
    waiting_for_people: int,
    balance: Mapping[str, Any],
    judges: Sequence[Trial] = (),
    judge_is_writer: bool = False,
) -> str:
    """README.md of a release, with the metadata header that dataset hubs read. `balance` is what `measure_balance` gave, `judges` how the
    judges stood records whose truth is known, `judge_is_writer` whether the model that judged had written what it judged."""
    lines = [
        "---",
        "configs:",
        *(line for dataset in accepted.records for line in (f"- config_name: {dataset}", f"  data_files: data/{dataset}.parquet")),
        f"source_licences: [{', '.join(licences_of(sources))}]",
        "---",
        "",
        f"# {name}",
        "",
        f"Training data about {making.domain or 'the configured domain'}, made from {len(sources)} licensed pages. Every record can be",
        "traced to its pages, their licence evidence and the oracle answers behind it (`provenance.parquet`, `castalia trace ID`).",
        "",
        "| dataset | records | " + " | ".join(CATEGORIES) + " | what a record is |",
        "|---|---|" + "---|" * len(CATEGORIES) + "---|",
    ]
    for dataset, records in accepted.records.items():
        by_category = _by_category(records)
        counts = " | ".join(str(by_category[category]) for category in CATEGORIES)
        lines.append(f"| {dataset} | {len(records)} | {counts} | {_FORMS[dataset]} |")
    lines += ["", *training_lines(name), "", "## Balance", "", *balance_lines(balance), "", "All figures are in `balance.json`."]
    lines += ["", "## Kept out", ""]
    if accepted.kept_out:
        lines += ["| dataset | layer | check | outcome | records |", "|---|---|---|---|---|"]
        lines += [
            f"| {dataset} | {layer} | {check} | {outcome} | {count} |"
            for (dataset, layer, check, outcome), count in sorted(accepted.kept_out.items())
        ]
    else:
        lines.append("Nothing.")
    if judges or judge_is_writer:
        lines += ["", "## Judges"]
    if judge_is_writer:
        lines += ["", "The model that judged these records is the one that wrote them, and models prefer what they wrote."]
    if judges:
        lines += ["", "Records whose truth is known were planted among what judges saw.", ""]
        lines += ["| check | planted | recognized | shown |", "|---|---|---|---|"]
        lines += [f"| {one.check} | {one.kind} | {one.recognized} | {one.shown} |" for one in judges]
    if making.kept:
        lines += [
            "",
            "## Kept by a waiver",
            "",
            "These stages were not made again although something they depend on had changed since:",
            "",
        ]
        lines += [f"* `{kept.stage}`: {'; '.join(kept.reasons)}" for kept in making.kept]
    lines += ["", f"Waiting for a person's review: {waiting_for_people} records (a sample: only a rejection keeps a record out).", ""]
    return "\n".join(lines)


def training_lines(name: str) -> list[str]:
    """How to train on the files, in a form that a reader of the card alone can follow."""
    return [
        "## Training",
        "",
        f"`castalia export {name} --to trl --out exported` writes rows that TRL's trainers take without a further step: `sft.jsonl` and",
        "`replay.jsonl` for `SFTTrainer`, or `tokens/sft.parquet` with exact ids and masks; `preferences.jsonl` for `DPOTrainer`;",
        "`rewards.jsonl` for `GRPOTrainer`, whose reward function gets the columns `check` and `reference`.",
        "",
        "```text",
        'rows = datasets.load_dataset("json", data_files="exported/preferences.jsonl", split="train")',
        'trl.DPOTrainer(model=..., args=trl.DPOConfig(output_dir="dpo"), train_dataset=rows, processing_class=tokenizer).train()',
        "```",
        "",
        "`castalia.scoring.score(Check.model_validate_json(check), answer, sandbox=Sandbox()).value` is what an answer earns, from 0 to 1;",
        "`Check` is in `castalia.records`, `Sandbox` in `castalia.sandbox`.",
    ]


def attribution(sources: Sequence[Source]) -> str:
    """ATTRIBUTION.md: every source with its licence, the evidence for it and the notice it asks for."""
    lines = [
        "# Sources and licences",
        "",
        "All of them were changed: text was taken from the pages, cut into passages, and written anew by models.",
        "",
    ]
    for source in sorted(sources, key=lambda source: source.url):
        licence = source.licence
        lines += [f"## {source.url}", "", f"Licence: {licence.spdx} ({licence.reason})", ""]
        lines += [f"Licence of its {part.scope}: {part.spdx}{'' if part.allowed else ', so it was not used'}\n" for part in licence.parts]
        lines += [f"* {evidence.place}, scope {evidence.scope}: {evidence.url}" for evidence in licence.evidence]
        lines += ["", *(f"> {line}".rstrip() for line in licence.attribution.splitlines()), ""]
    return "\n".join(lines)


def _by_category(records: Sequence[Record]) -> Mapping[str, int]:
    return Counter(getattr(record, "category", "") for record in records)
