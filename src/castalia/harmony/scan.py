"""Cuts token ids into Harmony messages. Knows the grammar of a message and nothing about who may say what.

<|start|> role [to=R] [<|channel|> name [to=R] [type]] [<|constrain|> type] <|message|> content (<|end|> | <|call|> | <|return|>)
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, NamedTuple

from castalia.harmony.vocabulary import CALL, CHANNEL, CONSTRAIN, END, MESSAGE, RETURN, START, Vocabulary

Problem = Literal["header", "content", "unclosed-header", "unclosed-content"]


@dataclass(frozen=True)
class Block:
    """One message as it stands in the ids. Header fields are empty where the header couldn't be read."""

    start: int
    """Index of `<|start|>`, or of the first id where the start was given."""
    body: int
    """Index of the first content id."""
    end: int
    """Index behind the last id."""
    role: str = ""
    """`user`, `assistant`, `system`, `developer`, or the name of a tool."""
    channel: str | None = None
    recipient: str | None = None
    content_type: str | None = None
    constrained: bool = False
    """Whether the content type stood behind `<|constrain|>`."""
    recipient_first: bool = False
    """Whether the recipient stood before the channel."""
    content: str = ""
    stop: str | None = None
    """Literal of the token that closed it, None where none did."""
    problem: Problem | None = None


def scan(ids: Sequence[int], vocabulary: Vocabulary, *, given: str | None = None) -> Iterator[Block]:
    """The messages in `ids`, in order. `given` is the role of a message whose `<|start|>role` isn't in the ids. Never raises."""
    names = {number: literal for literal, number in vocabulary.special.items()}
    marks = [names.get(token) for token in ids]
    position = 0
    while position < len(ids) or (given and not ids):
        block = _block(ids, marks, position, vocabulary, given)
        yield block
        given = None
        if block.end >= len(ids):
            return
        position = block.end


def _block(ids: Sequence[int], marks: list[str | None], start: int, vocabulary: Vocabulary, given: str | None) -> Block:
    if given is None and marks[start] != START:
        end = _next(marks, start + 1, {START})
        return Block(start, end, end, content=vocabulary.decode(ids[start:end]), problem="content")
    first = start if given and (not marks or marks[start] != START) else start + 1
    role = given if first == start else None
    body = _next(marks, first, {MESSAGE, START, END, CALL, RETURN})
    if body == len(marks):
        broken = _fields(ids, marks, (first, body), vocabulary, role, growing=True) is None
        return Block(start, body, body, role=role or "", problem="header" if broken else "unclosed-header")
    if marks[body] != MESSAGE:
        end = body if marks[body] == START else body + 1
        return Block(start, end, end, role=role or "", problem="header")
    close = _next(marks, body + 1, {START, END, CALL, RETURN})
    content = vocabulary.decode(ids[body + 1 : close])
    foreign = any(marks[body + 1 : close])
    stop = marks[close] if close < len(marks) and marks[close] != START else None
    problem: Problem | None = (
        "content" if foreign or (stop is None and close < len(marks)) else "unclosed-content" if stop is None else None
    )
    end = close + (stop is not None)
    block = Block(start, body + 1, end, role=role or "", content=content, stop=stop, problem=problem)
    return _with_header(block, ids, marks, (first, body), vocabulary)


def _with_header(block: Block, ids: Sequence[int], marks: list[str | None], span: tuple[int, int], vocabulary: Vocabulary) -> Block:
    """The block with the fields of its header, or with the problem that the header breaks the grammar."""
    found = _fields(ids, marks, span, vocabulary, block.role)
    if found is None:
        return replace(block, problem="header")
    role, channel, recipients, types = found
    return replace(
        block,
        role=role,
        channel=channel,
        recipient=recipients[0][1] if recipients else None,
        content_type=types[0][1] if types else None,
        constrained=bool(types) and types[0][0] == CONSTRAIN,
        recipient_first=bool(recipients) and recipients[0][0] == "role",
    )


class _Fields(NamedTuple):
    """Role, channel, and recipients and content types with the section they stand in."""

    role: str
    channel: str | None
    recipients: list[tuple[str, str]]
    types: list[tuple[str, str]]


def _fields(
    ids: Sequence[int], marks: list[str | None], span: tuple[int, int], vocabulary: Vocabulary, role: str | None, *, growing: bool = False
) -> _Fields | None:
    """What a header says, None where it breaks the grammar; of a `growing` header only what no continuation can mend."""
    start, end = span
    edges = [index for index in range(start, end) if marks[index] is not None]
    sections = [
        ("role", start, (edges or [end])[0]),
        *((str(marks[at]), at + 1, to) for at, to in pairwise([*edges, end])),
    ]
    if len({name for name, _, _ in sections}) != len(sections):
        return None
    found = _Fields(role or "", None, [], [])
    for name, first, last in sections:
        text = vocabulary.decode(ids[first:last])
        words = text.split()
        if growing and last == end:  # its last word may go on, and more may follow
            words = words if text[-1:].isspace() else words[:-1]
            if not words:
                continue
        if name == "role" and not found.role:
            if not words or words[0].startswith("to="):
                return None
            found = found._replace(role=words.pop(0))
        if name == CHANNEL:
            if not words:
                return None
            found = found._replace(channel=words.pop(0))
        found.recipients.extend((name, word.removeprefix("to=")) for word in words if word.startswith("to="))
        found.types.extend((name, word) for word in words if not word.startswith("to="))
    if len(found.recipients) > 1 or len(found.types) > 1 or any(not word for _, word in found.recipients):
        return None
    return found


def _next(marks: list[str | None], start: int, wanted: set[str]) -> int:
    return next((index for index in range(start, len(marks)) if marks[index] in wanted), len(marks))
