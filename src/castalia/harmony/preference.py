"""Rows of preferences, as TRL has them: a better and a worse answer, or one answer with a `label` that says whether it is good.

`prompt` stands before both answers, or inside each of them.
"""

from typing import Any, NamedTuple

from castalia.errors import InputError
from castalia.harmony.declared import Chat, objects
from castalia.harmony.trl import from_trl, to_trl
from castalia.records.conversation import Conversation

_ANSWERS = ("chosen", "rejected", "completion")


class Preference(NamedTuple):
    """Conversations that end with an answer each; at least one of them."""

    chosen: Conversation | None
    rejected: Conversation | None
    """Nobody should learn to say it."""
    prompt: Conversation | None = None
    """What both begin with, where the row says it apart."""

    @property
    def conversations(self) -> tuple[Conversation, ...]:
        """The good one first."""
        return tuple(one for one in (self.chosen, self.rejected) if one)


def read_preference(row: Chat) -> Preference | None:
    """What a row says of good and bad answers, None for a row of another kind. Raises InputError."""
    if "messages" in row:
        return None
    prompt = from_trl(_with(row, [])) if row.get("prompt") is not None else None
    if "chosen" in row and "rejected" in row:
        chosen, rejected = (from_trl(_with(row, objects(row[which], repr(which)))) for which in ("chosen", "rejected"))
        return Preference(chosen, rejected, prompt)
    if prompt and "completion" in row and isinstance(row.get("label"), bool):
        answered = from_trl(_with(row, objects(row["completion"], "'completion'")))
        return Preference(answered if row["label"] else None, None if row["label"] else answered, prompt)
    return None


def write_preference(preference: Preference) -> dict[str, Any]:
    """The row that `read_preference` reads back. Raises InputError for answers that one row can't hold."""
    rows = [to_trl(one) for one in preference.conversations]
    told = [{key: value for key, value in row.items() if key != "messages"} for row in rows]
    if told[0] != told[-1]:
        raise InputError("the two answers of the pair are given different tools or instructions, and a row has one place for them")
    before: list[Any] = to_trl(preference.prompt)["messages"] if preference.prompt else []
    said = [row["messages"] for row in rows]
    if any(messages[: len(before)] != before for messages in said):
        raise InputError("an answer goes on inside the last message of the prompt: give the prompt up to that message")
    answers = [messages[len(before) :] for messages in said]
    prompt: dict[str, Any] = {"prompt": before} if preference.prompt else {}
    if preference.chosen and preference.rejected:
        return {**prompt, "chosen": answers[0], "rejected": answers[1], **told[0]}
    return {**prompt, "completion": answers[0], "label": preference.chosen is not None, **told[0]}


def _with(row: Chat, answer: list[Chat]) -> dict[str, Any]:
    rest = {key: value for key, value in row.items() if key not in ("prompt", *_ANSWERS)}
    return {**rest, "messages": [*objects(row.get("prompt"), "'prompt'"), *answer]}
