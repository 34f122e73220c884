# pyright: basic
"""What other stacks train of one conversation, and how fast TRL tokenizes.

The conversation has two turns, each thought -> call -> result -> thought -> final. It is given to each stack in the form it
documents, with its defaults, and counted is what it supervises. The tokenizer is written from the same ranks.
"""

import importlib.metadata
import json
import os
import random
import subprocess
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.harmony_talks import WORDS, encodings, reference, theirs
from benchmarks.peers import renderers_gpt_oss
from benchmarks.peers.environments import NoEnvironment, require
from castalia.harmony import gpt_oss_vocabulary, render_samples, save_tokenizer, to_openai_messages, to_trl
from castalia.records import Conversation, Message

RENDERERS = "0.1.12"
REQUIREMENTS = (f"renderers[transformers]=={RENDERERS}", "httpx")  # it imports httpx, which the newest openai no longer brings


def measure(nulls: dict[str, str], *, quick: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Figures of speed and of the tokenizer, and one row for each stack; what can't be had goes to `nulls` with its reason."""
    vocabulary = gpt_oss_vocabulary()
    talk = two_turns()
    ours = render_samples(talk, vocabulary)
    trained = [token for sample in ours for token, on in zip(sample.ids, sample.mask, strict=True) if on]
    peers: dict[str, Any] = {"castalia": {"supervised": len(trained), "thoughts": _thoughts(talk, trained)}}
    found = reference()
    if found is None:
        nulls["openai-harmony"] = "openai-harmony is not installed"
    else:
        harmony, encoding = found
        told = harmony.Conversation.from_messages([theirs(harmony, message, "B") for message in talk.messages])
        name = f"openai-harmony {importlib.metadata.version('openai-harmony')} render_conversation_for_training"
        peers[name] = {"supervised": None, "thoughts": _thoughts(talk, encoding.render_conversation_for_training(told))}
        nulls[f"{name} supervised"] = "it gives no mask"
    talks = [_simple(random.Random(seed)) for seed in range(40 if quick else 1000)]
    seconds = _seconds(talks)
    figures: dict[str, Any] = {"samples_per_s_core": sum(one.role == "user" for each in talks for one in each.messages) / seconds}
    peers["castalia"]["conversations_per_s_core"] = len(talks) / seconds
    if quick:
        nulls["trl"] = nulls["renderers"] = "a quick run doesn't build the Hugging Face tokenizer"
        return figures, peers
    with tempfile.TemporaryDirectory() as folder:
        tokenizer_folder = save_tokenizer(Path(folder) / "tokenizer")
        _renderers(talk, tokenizer_folder, peers, nulls)
        _trl(talk, talks, tokenizer_folder, figures, peers, nulls)
    return figures, peers


def two_turns() -> Conversation:
    """The conversation of the table: 159 tokens to emit, four thoughts."""

    def said(channel: Any, words: str) -> Message:
        return Message(role="assistant", content=words, channel=channel)

    def called(name: str, arguments: str, result: str) -> tuple[Message, Message]:
        call = Message(role="assistant", content=arguments, channel="commentary", recipient=f"functions.{name}", content_type="json")
        return call, Message(role="tool", content=result, channel="commentary", name=f"functions.{name}")

    return Conversation(
        messages=(
            Message(role="user", content="Do the tests of the parser pass?"),
            said("analysis", "The user wants to know whether the parser tests pass."),
            *called("run_tests", '{"path": "tests/parser", "verbose": false}', "1 failed: test_empty_header"),
            said("analysis", "One test fails, the one for an empty header."),
            said("final", "No: `test_empty_header` fails, the others pass."),
            Message(role="user", content="Fix it."),
            said("analysis", "An empty header should raise. I look at the function reading it."),
            *called("read_file", '{"path": "src/parser.py"}', "def header(line): return line.split()[0]"),
            said("analysis", "split() of an empty line gives no item, so [0] raises IndexError."),
            said("final", "I would return None for an empty line before taking the first word."),
        )
    )


def _renderers(talk: Conversation, tokenizer: Path, peers: dict[str, Any], nulls: dict[str, str]) -> None:
    messages = to_openai_messages(talk)
    for chat in messages:
        chat.pop("channel", None)
    with tempfile.TemporaryDirectory() as folder, encodings() as ranks:
        request, answer = Path(folder) / "request.json", Path(folder) / "answer.json"
        request.write_text(json.dumps({"messages": messages, "tokenizer": str(tokenizer)}), encoding="utf-8")
        try:
            python = require("renderers", REQUIREMENTS)
        except NoEnvironment as reason:
            nulls["renderers"] = str(reason)
            return
        settings = {**os.environ, "TIKTOKEN_ENCODINGS_BASE": str(ranks), "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(
            [str(python), str(renderers_gpt_oss.__file__), str(request), str(answer)],
            env=settings,
            capture_output=True,
            text=True,
            timeout=300,
        )
        if done.returncode:
            nulls["renderers"] = f"failed: {(done.stderr.strip().splitlines() or ['no message'])[-1][:200]}"
            return
        rendered = json.loads(answer.read_text(encoding="utf-8"))
    kept = [token for token, on in zip(rendered["ids"], rendered["trained"], strict=True) if on]
    peers[f"renderers {RENDERERS}"] = {"supervised": len(kept), "thoughts": _thoughts(talk, kept)}


def _trl(
    talk: Conversation, talks: Sequence[Conversation], folder: Path, figures: dict[str, Any], peers: dict[str, Any], nulls: dict[str, str]
) -> None:
    package = find_spec("trl")
    template = Path(package.origin).parent / "chat_templates" / "gptoss_training.jinja" if package and package.origin else None
    if template is None or not template.is_file() or find_spec("transformers") is None:
        nulls["trl"] = "trl with its gpt-oss training template, or transformers, is not installed"
        return
    from transformers import AutoTokenizer

    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # both are measured on one core
    tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    tokenizer.chat_template = template.read_text(encoding="utf-8")

    def masked(messages: list[dict[str, Any]]) -> tuple[list[int], list[int]]:
        given = tokenizer.apply_chat_template(messages, tokenize=True, return_dict=True, return_assistant_tokens_mask=True)
        return given["input_ids"], given["assistant_masks"]

    ids, mask = masked(to_trl(talk)["messages"])
    kept = [token for token, on in zip(ids, mask, strict=True) if on]
    rows = [to_trl(one)["messages"] for one in talks]
    masked(rows[0])
    start = time.process_time()
    for row in rows:
        masked(row)
    per_conversation = (time.process_time() - start) / len(rows)
    name = f"trl {importlib.metadata.version('trl')} assistant_only_loss"
    peers[name] = {"supervised": len(kept), "thoughts": _thoughts(talk, kept), "conversations_per_s_core": 1 / per_conversation}
    vocabulary = gpt_oss_vocabulary()
    texts = [message.content for one in talks for message in one.messages]
    same = sum(tokenizer(one, split_special_tokens=True)["input_ids"] == vocabulary.encode(one) for one in texts)
    figures["saved_tokenizer_equal"] = same / len(texts)


def _simple(rng: random.Random) -> Conversation:
    """A conversation that every stack takes: no parallel calls, nothing empty, no literals of special tokens (TRL's template refuses them)."""
    plain = [word for word in WORDS if "<|" not in word]

    def some() -> str:
        return "So: " + "".join(rng.choices(plain, k=60))

    messages: list[Message] = []
    for _ in range(rng.randint(1, 3)):
        messages.append(Message(role="user", content=some()))
        if rng.random() < 0.5:
            arguments = json.dumps({"text": some()})
            messages += [
                Message(role="assistant", content=some(), channel="analysis"),
                Message(role="assistant", content=arguments, channel="commentary", recipient="functions.f", content_type="json"),
                Message(role="tool", content=some(), channel="commentary", name="functions.f"),
            ]
        messages.append(Message(role="assistant", content=some(), channel="analysis"))
        messages.append(Message(role="assistant", content=some(), channel="final"))
    return Conversation(messages=tuple(messages))


def _seconds(talks: Sequence[Conversation]) -> float:
    """CPU time of rendering all of them with masks."""
    vocabulary = gpt_oss_vocabulary()
    for talk in talks[:20]:  # the first ones fill caches
        render_samples(talk, vocabulary)
    start = time.process_time()
    for talk in talks:
        render_samples(talk, vocabulary)
    return time.process_time() - start


def _thoughts(talk: Conversation, ids: Sequence[int]) -> int:
    """How many thoughts of the conversation stand whole in the ids."""
    said = gpt_oss_vocabulary().decode(ids)
    return sum(message.content in said for message in talk.messages if message.channel == "analysis")
