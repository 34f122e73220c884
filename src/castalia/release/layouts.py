# pyright: basic
"""Rows of a release as trainers take them.

TRL: https://huggingface.co/docs/trl/dataset_formats. prime-rl trains on conversations split into prompt and completion, with the arguments of
calls as JSON text; its environments (verifiers) take a prompt with an answer and JSON text of whatever else scoring needs.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from castalia.harmony import to_openai_messages
from castalia.records import Conversation, Message
from castalia.release.folder import NewFolder

Row = dict[str, Any]
_IGNORED = -100  # the label of tokens that are not trained on
_IDS = pa.list_(pa.int32())
_LABELLED = {"input_ids": _IDS, "labels": _IDS}


def write_trl(source: Path, out: NewFolder) -> None:
    """`tokens/sft.parquet` has the exact ids with `labels`: what a chat template renders may differ from what the model was trained on."""
    out.write_parquet("tokens/sft.parquet", _labelled(source / "tokens" / "sft.parquet"), _LABELLED)
    for name in ("sft", "replay"):
        out.write(f"{name}.jsonl", _lines(trl_row(row) for row in _rows(source, name)))
    pairs = (
        {"prompt": _prompt(row), "chosen": chat(row["chosen"]), "rejected": chat(row["rejected"]), **_declared(row)}
        for row in _rows(source, "preferences")
    )
    out.write("preferences.jsonl", _lines(pairs))
    rewards = (
        {"prompt": _prompt(row), "reference": row["reference"], "check": row["check"], **_declared(row)} for row in _rows(source, "rewards")
    )
    out.write("rewards.jsonl", _lines(rewards))


def write_prime_rl(source: Path, out: NewFolder) -> None:
    """One SFT row per user turn, the turns before it in the prompt; the last of them is what is learned."""
    out.write("sft.jsonl", _lines(turn for name in ("sft", "replay") for row in _rows(source, name) for turn in turns_of(row)))
    rl = (
        {
            "prompt": _prompt(row),
            "answer": row["reference"],
            "task": row["node"],
            "info": json.dumps({"id": row["id"], "category": row["category"], "check": row["check"]}, ensure_ascii=False, sort_keys=True),
        }
        for row in _rows(source, "rewards")
    )
    out.write("rl.jsonl", _lines(rl))


def chat(messages: Sequence[Row]) -> list[Row]:
    """Chat messages as `castalia.harmony.to_openai_messages` writes them, in the form that the chat template of GPT-OSS renders: the thought
    in `thinking` of the message that follows it, one call a message, its arguments as an object, and text everywhere.

    What chat has no words for stands alone with its `channel`, `recipient` and `content_type`, as `castalia.harmony.from_trl` reads it: a
    second thought, a preamble that follows a thought, code for a built-in tool, arguments that are no object.
    """
    turned: list[Row] = []
    thought: str | None = None
    asked: dict[str, str] = {}
    for said in to_openai_messages(Conversation(messages=tuple(Message.model_validate(message) for message in messages))):
        if said["role"] == "tool":
            said.pop("tool_call_id", None)
            if said.get("channel") == asked.get(said["name"], "commentary"):
                del said["channel"]
        own = said.pop("reasoning_content", None)
        if thought is not None and (own is not None or said["role"] != "assistant"):
            turned.append(_alone(thought, "analysis"))
            thought = None
        thought = own if own is not None else thought
        if said["role"] == "assistant" and said["content"] is None and "tool_calls" not in said:
            continue
        for part in _one_by_one(said, thought is not None):
            if thought is not None:
                part["thinking"], thought = thought, None
            for call in part.get("tool_calls", ()):
                asked[call["function"]["name"]] = part.get("channel", "commentary")
            if "recipient" in part:
                asked[part["recipient"].removeprefix("functions.")] = part["channel"]
            turned.append(part)
    return [*turned, _alone(thought, "analysis")] if thought is not None else turned


def _one_by_one(said: Row, thought: bool) -> Iterator[Row]:
    """A chat message, or one for each of its calls; the preamble stands with the first call where no thought does."""
    calls = said.pop("tool_calls", ())
    if not calls:
        yield said
        return
    channel = said.pop("channel", None)
    preamble = said["content"] or ""
    if preamble and (thought or channel is not None or _arguments(calls[0]) is None):
        yield _alone(preamble, "commentary")
        preamble, channel = "", None
    for call in calls:
        arguments, name = _arguments(call), call["function"]["name"]
        if arguments is None:
            recipient = name if "." in name else f"functions.{name}"
            alone = _alone(call["function"]["arguments"], channel or "commentary")
            yield {**alone, "recipient": recipient, "content_type": "json"}
        else:
            call = {"type": "function", "function": {"name": name, "arguments": arguments}}
            yield {"role": "assistant", "content": preamble, "tool_calls": [call]} | ({"channel": channel} if channel else {})
        preamble = ""


def _alone(text: str, channel: str) -> Row:
    return {"role": "assistant", "channel": channel, "content": text}


def _arguments(call: Row) -> Row | None:
    """The object that the JSON of a call says, None where it says none."""
    try:
        value = json.loads(call["function"]["arguments"])
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def trl_row(row: Row) -> Row:
    """A released conversation as `castalia.harmony.from_trl` reads it."""
    return {"messages": [*_instructions(row), *chat(row["messages"])], **_declared(row)}


def _prompt(row: Row) -> list[Row]:
    return [*_instructions(row), *chat(row["prompt"])]


def turns_of(row: Row) -> list[Row]:
    """A row for every user turn in which the assistant said something, up to its last word: those that have tokens to learn, too."""
    messages = [_with_text_arguments(message) for message in (*_instructions(row), *chat(row["messages"]))]
    starts = [number for number, message in enumerate(messages) if message["role"] == "user"]
    given = {name: value for name, value in _declared(row).items() if name in ("tools", "chat_template_kwargs")}
    turns: list[Row] = []
    for start, end in zip(starts, [*starts, len(messages)][1:], strict=True):
        said = [number for number in range(start, end) if messages[number]["role"] == "assistant"]
        if said:
            turns.append({"prompt": messages[: start + 1], "completion": messages[start + 1 : said[-1] + 1], **given})
    return turns


def _with_text_arguments(message: Row) -> Row:
    """prime-rl parses the arguments of calls as the OpenAI API writes them, and fails on anything but text."""
    if "tool_calls" not in message:
        return message
    calls = [
        {**call, "function": {**call["function"], "arguments": json.dumps(call["function"]["arguments"], ensure_ascii=False)}}
        for call in message["tool_calls"]
    ]
    return {**message, "tool_calls": calls}


def _instructions(row: Row) -> list[Row]:
    return [{"role": "system", "content": row["instructions"]}] if row["instructions"] else []


def _declared(row: Row) -> Row:
    """Tools and formats as JSON text, because their schemas differ from row to row, and what the chat template takes.

    Every row has every key, and text where it has nothing: readers take the columns and their types from the first rows of a file.
    """
    template: Row = {"reasoning_effort": row["effort"]}
    tools: list[Row] = json.loads(row["tools"] or "[]")
    functions = [{**tool, "parameters": json.loads(tool["parameters"])} for tool in tools if "name" in tool]
    built_in = [tool["type"] for tool in tools if "name" not in tool]
    if built_in:
        template["builtin_tools"] = built_in
    return {
        "chat_template_kwargs": template,
        "tools": json.dumps([{"type": "function", "function": function} for function in functions], ensure_ascii=False),
        "response_formats": row["response_formats"] or "[]",
        "date": row["date"],
    }


def _labelled(path: Path) -> Iterator[Row]:
    for batch in pq.ParquetFile(path).iter_batches(columns=["input_ids", "loss_mask"]):
        for row in batch.to_pylist():
            labels = [token if trained else _IGNORED for token, trained in zip(row["input_ids"], row["loss_mask"], strict=True)]
            yield {"input_ids": row["input_ids"], "labels": labels}


def _rows(source: Path, dataset: str) -> Iterator[Row]:
    with (source / "data" / f"{dataset}.jsonl").open(encoding="utf-8", newline="\n") as lines:
        for line in lines:
            yield json.loads(line)


def _lines(rows: Iterable[Row]) -> Iterator[bytes]:
    return (f"{json.dumps(row, ensure_ascii=False, sort_keys=True)}\n".encode() for row in rows)
