"""What a row of chat data holds: conversations in any of the forms, or token ids with a mask.

Forms are told by their keys: `conversations` is ShareGPT; `messages`, or `prompt` and `completion`, are of the OpenAI API, of TRL or
of a release; `chosen` and `rejected` are pairs, `completion` with a boolean `label` is half of one; `input_ids` or `ids` stand with `labels` (-100 where not
trained), `loss_mask` or `mask`; `text` is a rendered transcript.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple, cast

from castalia.errors import InputError
from castalia.harmony.declared import Chat
from castalia.harmony.lint_tokens import emitted
from castalia.harmony.preference import Preference, read_preference
from castalia.harmony.samples import Sample
from castalia.harmony.sharegpt import from_sharegpt
from castalia.harmony.transcript import transcript_ids
from castalia.harmony.trl import from_trl
from castalia.harmony.vocabulary import Vocabulary
from castalia.records.conversation import Conversation

_TOLD: Final = {
    "conversations": {"from", "value", "role", "content", "name", "channel", "recipient", "content_type"},
    "messages": {
        "role", "content", "name", "tool_calls", "tool_call_id", "function_call", "refusal", "reasoning_content", "thinking", "reasoning",
        "channel", "recipient", "content_type", "audio",
    },
}  # fmt: skip
_UNREAD: Final = ("context", "documents", "response_format")
"""What may be part of a prompt beside messages."""
_SPEAKERS_WITH_NAMES: Final = ("tool", "function", "observation", "tool_response", "function_response", "function-response")


class Held(NamedTuple):
    """What a row holds: a conversation, a preference, or a sample that was rendered elsewhere."""

    conversation: Conversation | None = None
    preference: Preference | None = None
    sample: Sample | None = None


def held(row: Chat, vocabulary: Vocabulary) -> Held:
    """Raises InputError for a row of no known form, and for what its form can't say."""
    if "conversations" in row:
        return Held(from_sharegpt(row))
    preference = read_preference(row)
    if preference:
        return Held(preference=preference)
    if "messages" in row or "completion" in row:
        return Held(from_trl(row))
    if "text" in row and isinstance(row["text"], str) and "<|start|>" in row["text"]:
        return Held(sample=_as_trained(transcript_ids(row["text"], vocabulary), vocabulary))
    return Held(sample=_rendered(row))


def ignored_keys(row: Chat) -> Iterator[str]:
    """Keys that say something and that no conversation has a place for: those beside messages that belong to a prompt, such as
    `documents`, and all of messages, such as `weight`, as `messages.weight`.
    """
    yield from (key for key in _UNREAD if row.get(key) not in (None, "", []))
    for form, told in _TOLD.items():
        turns = row.get(form)
        if not isinstance(turns, list):
            continue
        found: set[str] = set()
        for turn in cast("list[Any]", turns):
            if isinstance(turn, Mapping):
                chat = cast("Chat", turn)
                named = (chat.get("role") or chat.get("from")) in _SPEAKERS_WITH_NAMES
                found |= {
                    key for key, value in chat.items() if (key not in told or (key == "name" and not named)) and value not in (None, "", [])
                }
        yield from sorted(f"{form}.{key}" for key in found)


def _rendered(row: Chat) -> Sample:
    ids: Any = row.get("input_ids", row.get("ids"))
    labels: Any = row.get("labels")
    mask: Any = row.get("loss_mask", row.get("mask"))
    if isinstance(labels, list):
        mask = [label != -100 for label in cast("list[Any]", labels)]
    if not isinstance(ids, list) or not isinstance(mask, list):
        raise InputError(
            f"the row has the keys {sorted(map(str, row))}: give 'messages', 'conversations', 'prompt' and 'completion', or 'input_ids' and 'labels'"
        )
    tokens, trained = cast("list[Any]", ids), [bool(value) for value in cast("list[Any]", mask)]
    if not all(isinstance(token, int) for token in tokens) or len(tokens) != len(trained):
        raise InputError(f"{len(tokens)} ids and {len(trained)} mask values: give as many whole numbers as mask values")
    return Sample(tokens, trained, [float(value) for value in trained], ["context"] * len(tokens))


def _as_trained(ids: list[int], vocabulary: Vocabulary) -> Sample:
    """A sample with the mask that it should have: a transcript says nothing of its mask."""
    mask = emitted(ids, vocabulary)
    return Sample(ids, mask, [float(value) for value in mask], ["context"] * len(ids))
