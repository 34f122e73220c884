"""One way to look at the four kinds of dataset record, so that a check is written once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from castalia.records import (
    Category,
    Check,
    Conversation,
    Document,
    Evidence,
    Message,
    PreferencePair,
    ReplayItem,
    RewardRecord,
    SFTExample,
)

MOST_PER_QUESTION = 40  # records; a judge that is shown more skips some

Checked = SFTExample | PreferencePair | RewardRecord | ReplayItem


@dataclass(frozen=True)
class View:
    """A record under check.

    `conversations` are complete conversations that a model would learn from; `answer` is the text that has to be right and
    `check` how that is decided without an opinion; `group` is what it is judged with: the passage it was written from, for
    datasets of a few records the category.
    """

    record: Checked
    dataset: str
    group: str
    label: str
    category: Category
    prompt: Conversation
    question: str
    answer: str
    worse: str
    conversations: tuple[Conversation, ...]
    check: Check | None
    evidence: tuple[Evidence, ...]


def view_record(record: Checked, dataset: str) -> View:
    """The view of a record of any of the four datasets."""
    if isinstance(record, SFTExample):
        return _view(
            record, dataset, record.section, record.conversation, _final(record.conversation), check=record.check, evidence=record.evidence
        )
    if isinstance(record, PreferencePair):
        return _view(
            record,
            dataset,
            f"{dataset}/{record.category}",
            record.prompt,
            record.chosen.text,
            worse=record.rejected.text,
            completions=(record.chosen.text, record.rejected.text),
            evidence=record.evidence,
        )
    if isinstance(record, RewardRecord):
        return _view(
            record,
            dataset,
            f"{dataset}/{record.category}",
            record.prompt,
            record.reference,
            completions=(record.reference,),
            check=record.check,
            evidence=record.evidence,
        )
    return _view(record, dataset, f"replay/{record.category}", record.conversation, _final(record.conversation), check=record.check)


def cited_blocks(view: View, documents: Mapping[str, Document]) -> list[tuple[Document, int]]:
    """The blocks a record cites, resolved; citations that lead nowhere are left out (layer 1 reports them)."""
    found: list[tuple[Document, int]] = []
    for evidence in view.evidence:
        document = documents.get(evidence.document)
        if document is not None:
            found.extend((document, number) for number in evidence.blocks if 0 <= number < len(document.blocks))
    return found


def by_group(views: Sequence[View]) -> dict[str, list[View]]:
    """Views by group, groups and labels in order, so that prompts have one spelling. A group that is too long for one question
    goes on as `GROUP~2`, `GROUP~3` and so on."""
    groups: dict[str, list[View]] = {}
    for view in sorted(views, key=lambda view: (view.group, view.label)):
        groups.setdefault(view.group, []).append(view)
    parts: dict[str, list[View]] = {}
    for name, members in groups.items():
        for first in range(0, len(members), MOST_PER_QUESTION):
            part = f"{name}~{first // MOST_PER_QUESTION + 1}" if first else name
            parts[part] = [replace(view, group=part) for view in members[first : first + MOST_PER_QUESTION]]
    return parts


def _view(
    record: Checked,
    dataset: str,
    group: str,
    prompt: Conversation,
    answer: str,
    *,
    worse: str = "",
    completions: tuple[str, ...] = (),
    check: Check | None = None,
    evidence: tuple[Evidence, ...] = (),
) -> View:
    questions = _questions(prompt)
    completed = tuple(
        prompt.model_copy(update={"messages": (*prompt.messages, Message(role="assistant", channel="final", content=text))})
        for text in completions
    )
    label = record.subject.removeprefix(group).strip("/")
    return View(
        record=record,
        dataset=dataset,
        group=group,
        label=f"{dataset}:{label}",
        category=record.category,
        prompt=prompt,
        question="\n".join(questions),
        answer=answer,
        worse=worse,
        conversations=completed or (prompt,),
        check=check,
        evidence=evidence,
    )


def _questions(prompt: Conversation) -> list[str]:
    """What the answer answers: the user's words; in a dialogue with the answers in between, without which a judge reads half of it."""
    users = [number for number, message in enumerate(prompt.messages) if message.role == "user"]
    if len(users) < 2:
        return [prompt.messages[number].content for number in users]
    said = [message for message in prompt.messages[: users[-1] + 1] if message.role == "user" or message.channel == "final"]
    return [f"{message.role.capitalize()}: {message.content}" for message in said]


def _final(conversation: Conversation) -> str:
    finals = [message.content for message in conversation.messages if message.channel == "final"]
    return finals[-1] if finals else ""
