"""The decontamination stage: which training records are too close to a GATE or VAULT item."""

from collections.abc import Iterator, Mapping, Sequence
from typing import cast

from castalia.engine import Params, Stage
from castalia.engine.context import Context
from castalia.evaluation.contamination import TrainingText, find_leaks
from castalia.records import (
    DATASETS,
    Conversation,
    Leak,
    PreferencePair,
    Provenance,
    Record,
    ReplayItem,
    RewardRecord,
    SFTExample,
    SuiteItem,
)


class DecontaminateParams(Params):
    """No settings: the thresholds are part of the stage's version."""


def decontaminate(inputs: Mapping[str, Sequence[Record]], params: DecontaminateParams, ctx: Context) -> Iterator[Leak]:
    """One Leak per training record and protected item that overlap."""
    protected = [item for item in cast("Sequence[SuiteItem]", inputs["suite"]) if item.bank != "dev"]
    by_subject = {item.subject: item for item in protected}
    for dataset in DATASETS:
        texts = [training_text(record) for record in inputs[dataset]]
        for leak in find_leaks(texts, protected):
            item = by_subject[leak.item]
            yield Leak(
                record=leak.record,
                dataset=dataset,
                item=item.id,
                bank="gate" if item.bank == "gate" else "vault",
                method=leak.method,
                similarity=round(leak.similarity, 4),
                provenance=Provenance(parents=(leak.record, item.id)),
            )


def training_text(record: Record) -> TrainingText:
    """What a model would read and learn from a record: its prompt, its answer, and the worse answer of a pair."""
    if isinstance(record, SFTExample | ReplayItem):
        return TrainingText(record.id, _said(record.conversation, "user"), _said(record.conversation, "assistant"))
    if isinstance(record, PreferencePair):
        return TrainingText(record.id, _said(record.prompt, "user"), record.chosen.text, record.rejected.text)
    if isinstance(record, RewardRecord):
        return TrainingText(record.id, _said(record.prompt, "user"), record.reference)
    raise TypeError(f"record {record.id!r} of type {type(record).__name__} is no training record")


def _said(conversation: Conversation, role: str) -> str:
    return "\n".join(message.content for message in conversation.messages if message.role == role)


STAGE = Stage(
    name="decontaminate",
    version=2,
    run=decontaminate,
    params=DecontaminateParams,
    reads={"suite": SuiteItem, **DATASETS},
    writes={"leaks": Leak},
    shape="whole",
)
