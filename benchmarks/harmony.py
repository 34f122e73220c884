# pyright: basic
"""Harmony: are our tokens and masks exactly what the model sees and emits, and how do other stacks compare?

Figures come from seeded random conversations; openai-harmony is the reference, message by message. Peers render one
conversation (two turns, each thought -> call -> result -> thought -> final) and are counted on what they train.
"""

import gzip
import importlib.metadata
import json
import os
import random
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from castalia.harmony import Style, gpt_oss_vocabulary, parse_completion, render_prompt, render_samples, to_openai_messages
from castalia.harmony.gpt_oss import PATTERN, parse_ranks, read_ranks
from castalia.harmony.lint_tokens import emitted
from castalia.records import Conversation, Message

DIALECTS = ("A", "B", "C", "D")
KINDS = {"A": "<|constrain|>json", "B": "<|constrain|>json", "C": "json", "D": None}
WORDS = (
    "parser",
    " the",
    " 42",
    "\n\n",
    " naïve",
    " 日本",
    "<|end|>",
    "<|start|>assistant",
    " {}",
    "🙂",
    ".",
    " to=functions.f",
    "    ",
    "X",
)


def run(gold: Path | None, quick: bool) -> dict[str, Any]:
    """Measures in one process. `gold` isn't needed: its vectors are tests."""
    del gold
    rng = random.Random(20)
    vocabulary = gpt_oss_vocabulary()
    talks = [_talk(rng) for _ in range(60 if quick else 1000)]
    nulls: dict[str, str] = {}
    figures: dict[str, Any] = {**_against_the_reference(talks, vocabulary, nulls), **_masks(talks, vocabulary)}
    figures["fuzz_crashes"] = _fuzz(rng, vocabulary, 2_000 if quick else 100_000)
    figures["samples_per_s_core"] = _speed(talks, vocabulary)
    return {"figures": figures, "peers": _peers(vocabulary, quick, nulls), "nulls": nulls}


def _text(rng: random.Random) -> str:
    return "".join(rng.choice(WORDS) for _ in range(rng.randint(0, 30)))


def _talk(rng: random.Random) -> Conversation:
    messages: list[Message] = []
    for _ in range(rng.randint(1, 4)):
        messages.append(Message(role="user", content=_text(rng)))
        for _ in range(rng.randint(0, 3)):
            if rng.random() < 0.8:
                messages.append(_said(rng, "analysis"))
            if rng.random() < 0.3:
                messages.append(_said(rng, "commentary"))
            name = f"functions.tool_{rng.randint(0, 3)}"
            arguments = json.dumps({"text": _text(rng)}, ensure_ascii=False)
            messages.append(Message(role="assistant", content=arguments, channel="commentary", recipient=name, content_type="json"))
            messages.append(Message(role="tool", content=_text(rng), channel="commentary", name=name))
        if rng.random() < 0.8:
            messages.append(_said(rng, "analysis"))
        messages.append(_said(rng, "final"))
    return Conversation(messages=tuple(messages))


def _said(rng: random.Random, channel: Any) -> Message:
    return Message(role="assistant", content=_text(rng), channel=channel)


def _reference() -> tuple[Any, Any] | None:
    """openai-harmony and its encoding, reading the ranks that bpe-openai ships; None where it isn't installed."""
    package = find_spec("bpe_openai")
    if find_spec("openai_harmony") is None or package is None or package.origin is None:
        return None
    import openai_harmony

    with tempfile.TemporaryDirectory() as folder:
        packed = Path(package.origin).parent / "data" / "o200k_base.tiktoken.gz"
        (Path(folder) / "o200k_base.tiktoken").write_bytes(gzip.decompress(packed.read_bytes()))
        before = os.environ.get("TIKTOKEN_ENCODINGS_BASE")
        os.environ["TIKTOKEN_ENCODINGS_BASE"] = folder
        try:
            encoding = openai_harmony.load_harmony_encoding(openai_harmony.HarmonyEncodingName.HARMONY_GPT_OSS)
        finally:
            if before is None:
                del os.environ["TIKTOKEN_ENCODINGS_BASE"]
            else:
                os.environ["TIKTOKEN_ENCODINGS_BASE"] = before
    return openai_harmony, encoding


def _theirs(harmony: Any, message: Message, dialect: str) -> Any:
    if message.role == "user":
        return harmony.Message.from_role_and_content(harmony.Role.USER, message.content)
    if message.role == "tool":
        author = harmony.Author.new(harmony.Role.TOOL, message.name)
        return harmony.Message.from_author_and_content(author, message.content).with_recipient("assistant").with_channel("commentary")
    said = harmony.Message.from_role_and_content(harmony.Role.ASSISTANT, message.content).with_channel(message.channel)
    if message.recipient is None:
        return said
    if dialect == "A":  # the reference can't write it: a channel with a recipient in it, to `all`, gives the same tokens
        said = said.with_channel(f"{message.channel} to={message.recipient}").with_recipient("all")
    else:
        said = said.with_recipient(message.recipient)
    return said.with_content_type(KINDS[dialect]) if KINDS[dialect] else said


def _against_the_reference(talks: list[Conversation], vocabulary: Any, nulls: dict[str, str]) -> dict[str, Any]:
    """Share of prompts, over every message of every conversation, that equal the reference to the token."""
    reference = _reference()
    if reference is None:
        nulls["token_equal"] = "openai-harmony is not installed"
        return {"token_equal": None}
    harmony, encoding = reference
    keep = harmony.RenderConversationConfig(auto_drop_analysis=False)
    equal = total = 0
    for number, talk in enumerate(talks):
        dialect = DIALECTS[number % 4]
        for index, message in enumerate(talk.messages):
            if message.role == "assistant" and message.channel == "final":
                continue
            before = talk.messages[: index + 1]
            turn = max(at for at, one in enumerate(before) if one.role == "user")
            shown = [one for at, one in enumerate(before) if at >= turn or one.channel != "analysis"]
            theirs = harmony.Conversation.from_messages([_theirs(harmony, one, dialect) for one in shown])
            ours = render_prompt(Conversation(messages=before), vocabulary, Style(preamble="none", dialect=dialect))
            equal += ours == encoding.render_conversation_for_completion(theirs, harmony.Role.ASSISTANT, keep)
            total += 1
    return {"token_equal": equal / total, "prompts": total}


def _masks(talks: list[Conversation], vocabulary: Any) -> dict[str, Any]:
    emit = covered = wrong = back = 0
    for number, talk in enumerate(talks):
        said: list[Message] = []
        for sample in render_samples(talk, vocabulary, Style(dialect=DIALECTS[number % 3])):
            expected = emitted(sample.ids, vocabulary)
            emit += sum(expected)
            covered += sum(want and has for want, has in zip(expected, sample.mask, strict=True))
            wrong += sum(has and not want for want, has in zip(expected, sample.mask, strict=True))
            for start, end in sample.spans():
                said += parse_completion(sample.ids[start:end], vocabulary, finished=True).messages
        back += said == [message for message in talk.messages if message.role == "assistant"]
    return {"emit_coverage": covered / emit, "wrong_context_tokens": wrong, "round_trip": back / len(talks), "emit_tokens": emit}


def _fuzz(rng: random.Random, vocabulary: Any, count: int) -> int:
    """Completions of random ids, half of them mutations of real ones, that make the parser raise."""
    special = list(vocabulary.special.values())
    sample = render_samples(_two_turns(), vocabulary)[0]
    real = sample.ids[slice(*sample.spans()[0])]
    crashes = 0
    for number in range(count):
        ids = list(real) if number % 2 else [rng.randint(-10, 202_000) for _ in range(rng.randint(0, 40))]
        for _ in range(rng.randint(1, 6)):
            ids.insert(rng.randint(0, len(ids)), rng.choice(special))
            del ids[rng.randint(0, len(ids) - 1)]
        try:
            parse_completion(ids, vocabulary, finished=rng.random() < 0.5)
        except Exception:  # noqa: BLE001 - counting every kind of crash is the figure
            crashes += 1
    return crashes


def _speed(talks: list[Conversation], vocabulary: Any) -> float:
    start, count = time.process_time(), 0
    for talk in talks:
        count += len(render_samples(talk, vocabulary))
    return count / (time.process_time() - start)


def _two_turns() -> Conversation:
    def said(channel: Any, text: str) -> Message:
        return Message(role="assistant", content=text, channel=channel)

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


def _peers(vocabulary: Any, quick: bool, nulls: dict[str, str]) -> dict[str, Any]:
    """Tokens supervised and whole thoughts among them, of the same conversation."""
    talk = _two_turns()
    thoughts = [message.content for message in talk.messages if message.channel == "analysis"]
    ours = render_samples(talk, vocabulary)
    trained = "\x00".join(vocabulary.decode([token for token, on in zip(one.ids, one.mask, strict=True) if on]) for one in ours)
    peers: dict[str, Any] = {"castalia": {"supervised": sum(sum(one.mask) for one in ours), "thoughts": _count(thoughts, trained)}}
    reference = _reference()
    if reference is None:
        nulls["openai-harmony"] = "openai-harmony is not installed"
    else:
        harmony, encoding = reference
        theirs = harmony.Conversation.from_messages([_theirs(harmony, message, "B") for message in talk.messages])
        text = vocabulary.decode(encoding.render_conversation_for_training(theirs))
        name = f"openai-harmony {importlib.metadata.version('openai-harmony')}"
        peers[name] = {"supervised": None, "thoughts": _count(thoughts, text)}
        nulls[f"{name} supervised"] = "render_conversation_for_training gives no mask"
    package = find_spec("trl")
    template = Path(package.origin).parent / "chat_templates" / "gptoss_training.jinja" if package and package.origin else None
    if quick or template is None or not template.is_file() or find_spec("transformers") is None:
        nulls["trl"] = "a quick run doesn't build the Hugging Face tokenizer" if quick else "trl or transformers is not installed"
    else:
        tokenizer = _hugging_face()
        tokenizer.chat_template = template.read_text(encoding="utf-8")
        rendered = tokenizer.apply_chat_template(_merged(talk), tokenize=True, return_dict=True, return_assistant_tokens_mask=True)
        kept = [token for token, on in zip(rendered["input_ids"], rendered["assistant_masks"], strict=True) if on]
        name = f"trl {importlib.metadata.version('trl')} assistant_only_loss"
        peers[name] = {"supervised": len(kept), "thoughts": _count(thoughts, tokenizer.decode(kept))}
        texts = [message.content for one in [_talk(random.Random(seed)) for seed in range(100)] for message in one.messages]
        same = sum(tokenizer(text, split_special_tokens=True)["input_ids"] == vocabulary.encode(text) for text in texts)
        peers["tokenizer of transformers from the same ranks"] = {"texts": len(texts), "equal": same / len(texts)}
    nulls["renderers"] = "PyPI renderers is not a dependency of this project"
    return peers


def _count(thoughts: list[str], text: str) -> int:
    return sum(thought in text for thought in thoughts)


def _merged(talk: Conversation) -> list[dict[str, Any]]:
    """Chat messages with the thought inside the message it leads to, as the template wants them."""
    out: list[dict[str, Any]] = []
    thought: str | None = None
    for chat in to_openai_messages(talk):
        channel = chat.pop("channel", None)
        if channel == "analysis":
            thought = chat["content"]
            continue
        for call in chat.get("tool_calls", []):
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
        out.append({**chat, "thinking": thought} if thought and chat["role"] == "assistant" else chat)
        thought = thought if chat["role"] != "assistant" else None
    return out


def _hugging_face() -> Any:
    """A tokenizer of transformers built from the ranks: merges are every split of a token into two, by rank."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    ranks = parse_ranks(read_ranks())
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {byte: chr(byte) for byte in printable}
    letters |= {byte: chr(256 + number) for number, byte in enumerate(byte for byte in range(256) if byte not in printable)}
    names = {token: "".join(letters[byte] for byte in token) for token in ranks}
    merges = sorted(
        (rank, ranks[token[:cut]], ranks[token[cut:]], token[:cut], token[cut:])
        for token, rank in ranks.items()
        for cut in range(1, len(token))
        if token[:cut] in ranks and token[cut:] in ranks
    )
    model = models.BPE(
        vocab={names[token]: rank for token, rank in ranks.items()},
        merges=[(names[left], names[right]) for *_, left, right in merges],
        ignore_merges=True,
    )
    tokenizer = Tokenizer(model)
    split = pre_tokenizers.Split(Regex(PATTERN), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in gpt_oss_vocabulary().special])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)
