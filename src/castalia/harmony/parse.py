"""From token ids back to messages. One parser for every backend, by ids and never by decoded text.

Only a completion that is well formed to its last token has a final or calls; whatever else the model wrote is a status,
never an exception and never a guess.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import cast, get_args

from castalia.harmony.render import NOBODY
from castalia.harmony.scan import Block, scan
from castalia.harmony.vocabulary import CALL, RETURN, Vocabulary
from castalia.records.conversation import Channel, Message


class Status(StrEnum):
    """What a completion turned out to be. Anything but `ok` is a format failure and scores 0."""

    OK = "ok"
    TRUNCATED = "truncated"
    """The last message was cut off."""
    MALFORMED_HEADER = "malformed-header"
    """A header without channel, with an unknown channel, several recipients, or never closed."""
    MALFORMED_CONTENT = "malformed-content"
    """A special token inside a message, or text between messages."""
    WRONG_ROLE = "wrong-role"
    """The model spoke for somebody else."""
    WRONG_STOP = "wrong-stop"
    """A call not ended by `<|call|>`, or `<|call|>` behind what is no call."""
    NO_FINAL = "no-final"
    """The model stopped without a final message or a call."""
    SEVERAL_FINALS = "several-finals"
    """More than one final message, or a final before a call: which one is the answer is not for the parser to choose."""


@dataclass(frozen=True)
class Parsed:
    """What a completion says."""

    status: Status
    messages: tuple[Message, ...]
    """The well-formed assistant messages before the first problem."""
    final: str | None
    """The answer: only where the status is ok and the model didn't call."""
    calls: tuple[Message, ...]
    """Tool calls, with `recipient` and JSON text as content: only where the status is ok."""
    raw: str
    """Everything decoded, special tokens as literals: for people, never for scoring."""


def parse_completion(ids: Sequence[int], vocabulary: Vocabulary, *, finished: bool) -> Parsed:
    """Parses what the model wrote after `<|start|>assistant`.

    `finished` says that the backend stopped at a stop token (which it may have stripped), not at a length limit. What
    follows the first `<|return|>` or `<|call|>` is padding and ignored. Never raises, whatever the ids.
    """
    raw = vocabulary.decode(ids)
    stops = {vocabulary.special[RETURN], vocabulary.special[CALL]}
    end = next((index + 1 for index, token in enumerate(ids) if token in stops), len(ids))
    closed = end > 0 and len(ids) > 0 and ids[end - 1] in stops
    messages: list[Message] = []
    for block in scan(ids[:end], vocabulary, given="assistant"):
        status, message = _read(block, finished=finished)
        if status is not Status.OK or message is None:
            return Parsed(status, tuple(messages), None, (), raw)
        messages.append(message)
    status = _verdict(messages, finished=finished or closed)
    calls = tuple(message for message in messages if message.recipient)
    final = messages[-1].content if messages and not calls else None
    return Parsed(status, tuple(messages), final, calls, raw) if status is Status.OK else Parsed(status, tuple(messages), None, (), raw)


def can_become_valid(ids: Sequence[int], vocabulary: Vocabulary) -> bool:
    """Whether some continuation of a completion could still parse; False is final, True may be too kind. For ending hopeless answers early."""
    return parse_completion(ids, vocabulary, finished=False).status in (Status.OK, Status.TRUNCATED)


def _read(block: Block, *, finished: bool) -> tuple[Status, Message | None]:
    """The message of a block, or what is wrong with it."""
    if block.problem == "header" or (block.problem == "unclosed-header" and finished):
        return Status.MALFORMED_HEADER, None
    if block.problem == "unclosed-header":
        return Status.TRUNCATED, None
    if block.problem == "content":
        return Status.MALFORMED_CONTENT, None
    if block.problem == "unclosed-content" and not finished:
        return Status.TRUNCATED, None
    if block.role != "assistant":
        return Status.WRONG_ROLE, None
    if block.channel not in get_args(Channel):
        return Status.MALFORMED_HEADER, None
    recipient = None if block.recipient in NOBODY else block.recipient
    if recipient and block.channel == "final":
        return Status.MALFORMED_HEADER, None
    if block.stop is not None and (block.stop == CALL) != (recipient is not None):
        return Status.WRONG_STOP, None
    channel = cast("Channel", block.channel)
    return Status.OK, Message(
        role="assistant", content=block.content, channel=channel, recipient=recipient, content_type=block.content_type
    )


def _verdict(messages: list[Message], *, finished: bool) -> Status:
    if not finished:
        return Status.TRUNCATED
    finals = sum(message.channel == "final" for message in messages)
    called = bool(messages) and messages[-1].recipient is not None
    if finals + called > 1:
        return Status.SEVERAL_FINALS
    if called or (finals and messages[-1].channel == "final"):
        return Status.OK
    return Status.NO_FINAL if not finals else Status.MALFORMED_CONTENT
