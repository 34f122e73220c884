# pyright: basic
"""Rows of a release as trainers take them.

TRL: https://huggingface.co/docs/trl/dataset_formats. prime-rl trains on conversations split into prompt and completion, with the arguments of
calls as JSON text; its environments (verifiers) take a prompt with an answer and JSON text of whatever else scoring needs.
"""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Row = dict[str, Any]
_IGNORED = -100  # the label of tokens that are not trained on


def trl_files(source: Path) -> dict[str, bytes]:
    """`tokens/sft.parquet` has the exact ids with `labels`: what a chat template renders may differ from what the model was trained on."""
    sft, replay, pairs, rewards = (_rows(source, name) for name in ("sft", "replay", "preferences", "rewards"))
    return {
        "tokens/sft.parquet": _labelled(source / "tokens" / "sft.parquet"),
        "sft.jsonl": _lines([trl_row(row) for row in sft]),
        "replay.jsonl": _lines([trl_row(row) for row in replay]),
        "preferences.jsonl": _lines(
            [{"prompt": _prompt(row), "chosen": chat(row["chosen"]), "rejected": chat(row["rejected"]), **_given(row)} for row in pairs]
        ),
        "rewards.jsonl": _lines(
            [{"prompt": _prompt(row), "reference": row["reference"], "check": row["check"], **_given(row)} for row in rewards]
        ),
    }


def prime_rl_files(source: Path) -> dict[str, bytes]:
    """One SFT row per user turn, the turns before it in the prompt; the last of them is what is learned."""
    conversations = [*_rows(source, "sft"), *_rows(source, "replay")]
    rl = [
        {
            "prompt": _prompt(row),
            "answer": row["reference"],
            "task": row["node"],
            "info": json.dumps({"id": row["id"], "category": row["category"], "check": row["check"]}, ensure_ascii=False, sort_keys=True),
        }
        for row in _rows(source, "rewards")
    ]
    return {"sft.jsonl": _lines([turn for row in conversations for turn in turns_of(row)]), "rl.jsonl": _lines(rl)}


def chat(messages: Sequence[Row]) -> list[Row]:
    """Chat messages: analysis goes into `thinking` of the message that follows it, calls into `tool_calls`."""
    turned: list[Row] = []
    thinking = ""
    for message in messages:
        if message["role"] == "assistant" and message["channel"] == "analysis" and not message["recipient"]:
            thinking = message["content"]
            continue
        said: Row = {"role": message["role"], "content": message["content"]}
        if message["role"] == "tool":
            said["name"] = message["name"].removeprefix("functions.")
        if message["recipient"]:
            call = {"name": message["recipient"].removeprefix("functions."), "arguments": _arguments(message["content"])}
            said = {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": call}]}
        if message["role"] == "assistant" and thinking:
            said["thinking"], thinking = thinking, ""
        turned.append(said)
    return turned


def _arguments(content: str) -> Any:
    """The object that a call's JSON says; the text itself of one that has none, as code for the built-in Python tool."""
    try:
        value = json.loads(content)
    except ValueError:
        return content
    return value if isinstance(value, dict) else content


def trl_row(row: Row) -> Row:
    """A released conversation as `castalia.harmony.from_trl` reads it."""
    return {"messages": [*_instructions(row), *chat(row["messages"])], **_given(row)}


def _prompt(row: Row) -> list[Row]:
    return [*_instructions(row), *chat(row["prompt"])]


def turns_of(row: Row) -> list[Row]:
    """A row for every user turn in which the assistant said something, up to its last word: those that have tokens to learn, too."""
    messages = [_with_text_arguments(message) for message in (*_instructions(row), *chat(row["messages"]))]
    starts = [number for number, message in enumerate(messages) if message["role"] == "user"]
    given = {"tools": "[]"} | {name: value for name, value in _given(row).items() if name in ("tools", "chat_template_kwargs")}
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
        {**call, "function": {**call["function"], "arguments": _as_text(call["function"]["arguments"])}}
        for call in message["tool_calls"]
    ]
    return {**message, "tool_calls": calls}


def _as_text(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)


def _instructions(row: Row) -> list[Row]:
    return [{"role": "system", "content": row["instructions"]}] if row["instructions"] else []


def _given(row: Row) -> Row:
    """Tools and formats as JSON text, because their schemas differ from row to row, and what the chat template takes."""
    given: Row = {"chat_template_kwargs": {"reasoning_effort": row["effort"]}}
    tools: list[Row] = json.loads(row["tools"] or "[]")
    functions = [{**tool, "parameters": json.loads(tool["parameters"])} for tool in tools if "name" in tool]
    built_in = [tool["type"] for tool in tools if "name" not in tool]
    if built_in:
        given["chat_template_kwargs"]["builtin_tools"] = built_in
    if functions:
        given["tools"] = json.dumps([{"type": "function", "function": function} for function in functions], ensure_ascii=False)
    return given | {name: row[name] for name in ("response_formats", "date") if row[name]}


def _labelled(path: Path) -> bytes:
    table = pq.read_table(path)
    ids, masks = table["input_ids"].to_pylist(), table["loss_mask"].to_pylist()
    labels = [
        [token if trained else _IGNORED for token, trained in zip(row, mask, strict=True)] for row, mask in zip(ids, masks, strict=True)
    ]
    sink = io.BytesIO()
    kinds = pa.list_(pa.int32())
    pq.write_table(pa.table({"input_ids": pa.array(ids, kinds), "labels": pa.array(labels, kinds)}), sink, compression="zstd")
    return sink.getvalue()


def _rows(source: Path, dataset: str) -> list[Row]:
    text = (source / "data" / f"{dataset}.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.split("\n") if line]


def _lines(rows: Sequence[Row]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows).encode()
