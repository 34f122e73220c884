"""Lint of rendered samples, from whatever stack they come: are exactly the tokens trained that the model emits?"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, get_args

from castalia.harmony.findings import Finding, error, warning
from castalia.harmony.render import NOBODY
from castalia.harmony.samples import Sample
from castalia.harmony.scan import Block, scan
from castalia.harmony.style import Dialect
from castalia.harmony.vocabulary import CALL, END, HARMONY_TOKENS, RETURN, START, Vocabulary

EVERY_DIALECT: Final = frozenset[str](get_args(Dialect))


class Linted(NamedTuple):
    """Findings, and what was looked at."""

    findings: tuple[Finding, ...]
    samples: int = 0
    emit: int = 0
    """Tokens the model must emit."""
    trained: int = 0
    """How many of those are trained."""
    dialects: frozenset[str] = EVERY_DIALECT
    """Those that all calls could be written in, in samples that were rendered elsewhere."""


def lint_samples(
    samples: Sequence[Sample], vocabulary: Vocabulary, max_tokens: int | None = None, dialect: Dialect | None = None
) -> list[Finding]:
    """Findings for the samples of one conversation.

    `max_tokens` is the length at which training would cut. `dialect` is the form that calls must have; without it they need only
    have one form.
    """
    return list(lint_counted(samples, vocabulary, max_tokens, dialect).findings)


def lint_counted(
    samples: Sequence[Sample], vocabulary: Vocabulary, max_tokens: int | None = None, dialect: Dialect | None = None
) -> Linted:
    """What `lint_samples` finds, with the tokens that must be and are trained."""
    findings: list[Finding] = []
    emit = trained = 0
    thoughtful: dict[int, bool] = {}
    forms: list[frozenset[str]] = []
    for number, sample in enumerate(samples):
        blocks = list(scan(sample.ids, vocabulary))
        turn = _turn(blocks)
        expected = _emitted(sample.ids, blocks, vocabulary)
        emit += sum(expected)
        trained += sum(want and has for want, has in zip(expected, sample.mask, strict=True))
        findings += _masks(number, sample, expected, vocabulary)
        findings += _messages(number, blocks, turn)
        if max_tokens is not None and len(sample.ids) > max_tokens:
            findings.append(error("over-length", f"{len(sample.ids)} tokens, the limit is {max_tokens}: its end would be cut off", number))
        thoughtful[number] = any(block.channel == "analysis" for block in blocks[turn:])
        forms += [dialects_of(block) for block in blocks if _calls(block)]
    if any(thoughtful.values()):
        findings += [
            warning("lost-thought", "the turn has no chain of thought though other turns of the conversation have", number)
            for number, thinks in thoughtful.items()
            if not thinks
        ]
    kept = (frozenset({dialect}) if dialect else EVERY_DIALECT).intersection(*forms)
    if forms and not kept:
        found = sorted({"/".join(sorted(form)) or "none of them" for form in forms})
        findings.append(
            warning(
                "mixed-dialects",
                f"tool calls are written in dialects {found}: keep to {f'dialect {dialect}' if dialect else 'one of A to D'}",
            )
        )
    return Linted(tuple(findings), len(samples), emit, trained, kept)


def emitted(ids: Sequence[int], vocabulary: Vocabulary) -> list[bool]:
    """True where the model samples the token when it writes the last turn: the mask a sample should have.

    Derived from the ids alone, independently of the renderer.
    """
    return _emitted(ids, list(scan(ids, vocabulary)), vocabulary)


def _emitted(ids: Sequence[int], blocks: Sequence[Block], vocabulary: Vocabulary) -> list[bool]:
    mask = [False] * len(ids)
    turn = _turn(blocks)
    given = [vocabulary.special[START], *vocabulary.encode("assistant")]
    for before, block in zip([None, *blocks][turn:], blocks[turn:], strict=False):
        if block.role != "assistant":
            continue
        opened = list(ids[block.start : block.start + len(given)]) == given
        sampled_on = before is not None and before.role == "assistant" and before.stop == END
        start = block.start + (len(given) if opened and not sampled_on else 0)
        mask[start : block.end] = [True] * (block.end - start)
    return mask


def dialects_of(block: Block) -> frozenset[str]:
    """Letters of the dialects that a tool call's header is written in: several where they write it alike, none for another form."""
    if not block.recipient_first:
        plain = block.content_type is None and (block.recipient or "").startswith("functions.")
        return frozenset("A" if block.constrained or not (plain or block.content_type == "json") else "")
    if block.content_type is None:
        return frozenset("D" if (block.recipient or "").startswith("functions.") else "BCD")
    return frozenset("B" if block.constrained else "C" if block.content_type == "json" else "BC")


def _turn(blocks: Sequence[Block]) -> int:
    """Index of the first block after the last user message."""
    return max((index + 1 for index, block in enumerate(blocks) if block.role == "user"), default=0)


def _calls(block: Block) -> bool:
    return block.role == "assistant" and block.recipient is not None and block.recipient not in NOBODY


def _masks(number: int, sample: Sample, expected: list[bool], vocabulary: Vocabulary) -> Iterator[Finding]:
    if not any(expected):
        yield error("emit-not-trained", "the sample holds nothing the model emits after its last user message", number)
    missing = [index for index, (want, has) in enumerate(zip(expected, sample.mask, strict=True)) if want and not has]
    wrong = [index for index, (want, has) in enumerate(zip(expected, sample.mask, strict=True)) if has and not want]
    if missing:
        text = vocabulary.decode([sample.ids[index] for index in missing[:12]])
        yield error("emit-not-trained", f"{len(missing)} of {sum(expected)} tokens the model emits are not trained, first {text!r}", number)
    if wrong:
        text = vocabulary.decode([sample.ids[index] for index in wrong[:12]])
        yield error("trained-context", f"{len(wrong)} tokens the model never emits here are trained, first {text!r}", number)


def _messages(number: int, blocks: Sequence[Block], turn: int) -> Iterator[Finding]:
    last = max((index for index, block in enumerate(blocks) if block.role == "assistant"), default=-1)
    for index, block in enumerate(blocks):
        where = f"{block.role or 'unreadable'} message {index}"
        if block.problem:
            yield error("malformed", f"{where} is no Harmony: {block.problem} near {block.content[:40]!r}", number)
            continue
        literals = [literal for literal in HARMONY_TOKENS if literal in block.content]
        if literals:
            yield warning("special-literal", f"{where} has {literals} as ordinary text: is a rendered transcript inside the data?", number)
        if block.role != "assistant":
            continue
        stop = CALL if _calls(block) else RETURN if block.channel == "final" and index == last and index >= turn else END
        if block.stop != stop:
            yield error("wrong-stop", f"{where} on {block.channel!r} ends with {block.stop}, the model sees {stop} there", number)
        if block.channel == "final" and not block.content.strip():
            yield error("empty-final", f"{where} is a final message without text", number)
    finished = max(
        (index for index, block in enumerate(blocks[:turn]) if block.role == "assistant" and block.channel == "final"), default=0
    )
    kept = [index for index, block in enumerate(blocks[:finished]) if block.channel == "analysis"]
    if kept:
        yield error("malformed", f"the context keeps {len(kept)} thoughts of finished turns, which inference leaves out", number)
