# pyright: basic
"""Random conversations against openai-harmony: system and developer message, tokens, masks, and back again. Run in as many processes as
there are cores. One in four has no system message, as for small targets.
"""

import multiprocessing
import os
import random
from collections import Counter
from typing import Any

from benchmarks.harmony_talks import DIALECTS, conversation, reference, theirs
from benchmarks.harmony_told import reference_told, told
from castalia.harmony import (
    Sample,
    Style,
    from_sharegpt,
    from_trl,
    gpt_oss_vocabulary,
    parse_completion,
    render_prompt,
    render_samples,
    to_hermes,
    to_openai_messages,
    to_sharegpt,
    to_trl,
)
from castalia.harmony.declared import write_declarations
from castalia.records import Conversation, Message

CHUNK = 500
WHOLE_EVERY = 50  # one conversation in so many is also put to the reference as a whole, at every message


def measure(count: int) -> dict[str, Any]:
    """Figures over `count` seeded conversations; `token_equal` and what hangs on it None without the reference."""
    chunks = [(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found: Counter[str] = Counter()
    with multiprocessing.get_context("spawn").Pool(min(cores, len(chunks))) as pool:
        for part in pool.imap_unordered(_chunk, chunks):
            found += part
    return {
        "token_equal": found["equal"] / found["messages"] if found["messages"] else None,
        "emit_coverage": found["covered"] / found["emit"] if found["emit"] else None,
        "wrong_context_tokens": found["wrong"] if found["messages"] else None,
        "round_trip": found["back"] / count,
        "formats_round_trip": found["formats"] / count,
        "conversations": count,
        "messages": found["messages"],
        "system_messages": found["systems"],
        "developer_messages": found["developers"],
        "emit_tokens": found["emit"],
    }


def _chunk(span: tuple[int, int]) -> Counter[str]:
    harmony_and_encoding = reference()
    vocabulary = gpt_oss_vocabulary()
    found: Counter[str] = Counter()
    for number in range(*span):
        rng = random.Random(number)
        talk = conversation(rng)
        talk = talk.model_copy(update=told(rng, talk.builtin_tools))
        style = Style(preamble="none" if number // 4 % 4 == 0 else "full", dialect=DIALECTS[number % 4])
        samples = render_samples(talk, vocabulary, style)
        turns = _turns(talk)
        said: list[Message] = []
        for sample in samples:
            for start, end in sample.spans():
                said += parse_completion(sample.ids[start:end], vocabulary, finished=True).messages
        spoken = [message for message in talk.messages if message.role == "assistant"]
        unsaid = {"content_type": None} if style.dialect == "D" else {}  # dialect D doesn't say that arguments are JSON
        found["back"] += said == [one.model_copy(update=unsaid) if one.recipient else one for one in spoken]
        found["formats"] += (
            from_trl(to_trl(talk)) == talk
            and from_sharegpt(to_sharegpt(talk)) == talk
            and from_sharegpt(to_hermes(talk)) == talk
            and from_trl({"messages": to_openai_messages(talk), **write_declarations(talk)}) == talk
        )
        if harmony_and_encoding is None:
            continue
        harmony, encoding = harmony_and_encoding
        before = reference_told(harmony, talk, style)
        preamble = encoding.render_conversation(harmony.Conversation.from_messages(before)) if before else []
        found["systems"] += style.preamble == "full"
        found["developers"] += len(before) - (style.preamble == "full")
        rendered = [encoding.render(theirs(harmony, message, style.dialect)) for message in talk.messages]
        for sample, (start, end) in zip(samples, turns, strict=True):
            _compare(found, sample, talk.messages, preamble, rendered, (start, end), vocabulary)
        if number % WHOLE_EVERY == 0:
            _whole(found, talk, style, before, harmony, encoding, vocabulary)
    return found


def _compare(
    found: Counter[str],
    sample: Sample,
    messages: tuple[Message, ...],
    preamble: list[int],
    rendered: list[list[int]],
    turn: tuple[int, int],
    vocabulary: Any,
) -> None:
    """One sample against the reference: its ids message by message, those before the conversation first; its mask token by token."""
    start, end = turn
    opening = [vocabulary.special["<|start|>"], *vocabulary.encode("assistant")]
    if preamble:
        found["equal"] += sample.ids[: len(preamble)] == preamble
        found["messages"] += 1
    shown = [tokens for message, tokens in zip(messages[:start], rendered, strict=False) if message.channel != "analysis"]
    ids = [*preamble, *(token for tokens in shown for token in tokens)]
    mask = [False] * len(ids)
    for index in range(start, end):
        message, tokens = messages[index], list(rendered[index])
        if index == end - 1:
            tokens[-1] = vocabulary.special["<|return|>"]
        emitted = message.role == "assistant"
        before = messages[index - 1]
        given = len(opening) if not (before.role == "assistant" and before.recipient is None) else 0
        mask += [emitted and place >= given for place in range(len(tokens))]
        ids += tokens
        found["equal"] += sample.ids[: len(ids)] == ids
        found["messages"] += 1
    ours = [*sample.mask, *[False] * (len(mask) - len(sample.mask))]
    found["emit"] += sum(mask)
    found["covered"] += sum(want and has for want, has in zip(mask, ours, strict=False))
    found["wrong"] += sum(has and not want for want, has in zip([*mask, *[False] * (len(ours) - len(mask))], ours, strict=True))


def _whole(
    found: Counter[str], talk: Conversation, style: Style, preamble: list[Any], harmony: Any, encoding: Any, vocabulary: Any
) -> None:
    """Every prompt of a conversation against the reference's render of the whole conversation so far."""
    keep = harmony.RenderConversationConfig(auto_drop_analysis=False)
    for index, message in enumerate(talk.messages):
        if message.channel == "final":
            continue
        before = talk.messages[: index + 1]
        turn = max(at for at, one in enumerate(before) if one.role == "user")
        shown = [theirs(harmony, one, style.dialect) for at, one in enumerate(before) if at >= turn or one.channel != "analysis"]
        asked = harmony.Conversation.from_messages([*preamble, *shown])
        expected = encoding.render_conversation_for_completion(asked, harmony.Role.ASSISTANT, keep)
        found["equal"] += render_prompt(talk.model_copy(update={"messages": before}), vocabulary, style) == expected
        found["messages"] += 1


def _turns(talk: Conversation) -> list[tuple[int, int]]:
    starts = [index for index, message in enumerate(talk.messages) if message.role == "user"]
    return list(zip(starts, [*starts[1:], len(talk.messages)], strict=True))
