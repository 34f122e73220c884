"""Cuts token ids into Harmony messages. Knows the grammar of a message and nothing about who may say what.

<|start|> role [to=R] [<|channel|> name [to=R] [type]] [<|constrain|> type] <|message|> content (<|end|> | <|call|> | <|return|>)
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

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
        return Block(start, body, body, role=role or "", problem="unclosed-header")
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
    (start, end), role = span, block.role
    edges = [index for index in range(start, end) if marks[index] is not None]
    sections = [
        ("role", start, (edges or [end])[0]),
        *((str(marks[at]), at + 1, to) for at, to in pairwise([*edges, end])),
    ]
    if len({name for name, _, _ in sections}) != len(sections):
        return replace(block, problem="header")
    channel: str | None = None
    recipients: list[tuple[str, str]] = []
    types: list[tuple[str, str]] = []
    for name, first, last in sections:
        words = vocabulary.decode(ids[first:last]).split()
        if name == "role" and not role:
            if not words or words[0].startswith("to="):
                return replace(block, problem="header")
            role = words.pop(0)
        if name == CHANNEL:
            if not words:
                return replace(block, problem="header")
            channel = words.pop(0)
        recipients += [(name, word.removeprefix("to=")) for word in words if word.startswith("to=")]
        types += [(name, word) for word in words if not word.startswith("to=")]
    if len(recipients) > 1 or len(types) > 1 or any(not word for _, word in recipients):
        return replace(block, problem="header")
    return replace(
        block,
        role=role,
        channel=channel,
        recipient=recipients[0][1] if recipients else None,
        content_type=types[0][1] if types else None,
        constrained=bool(types) and types[0][0] == CONSTRAIN,
        recipient_first=bool(recipients) and recipients[0][0] == "role",
    )


def _next(marks: list[str | None], start: int, wanted: set[str]) -> int:
    return next((index for index in range(start, len(marks)) if marks[index] in wanted), len(marks))
