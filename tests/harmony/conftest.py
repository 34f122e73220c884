"""Shared material: the vocabulary of GPT-OSS, and openai-harmony as the oracle, offline."""

import gzip
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from castalia.harmony import Vocabulary, gpt_oss_vocabulary
from castalia.records import Message


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    return gpt_oss_vocabulary()


@pytest.fixture(scope="session")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Oracle"]:
    """openai-harmony, reading the ranks that bpe-openai ships."""
    harmony = pytest.importorskip("openai_harmony")
    package = find_spec("bpe_openai")
    assert package is not None and package.origin is not None
    folder = tmp_path_factory.mktemp("encodings")
    packed = Path(package.origin).parent / "data" / "o200k_base.tiktoken.gz"
    (folder / "o200k_base.tiktoken").write_bytes(gzip.decompress(packed.read_bytes()))
    before = os.environ.get("TIKTOKEN_ENCODINGS_BASE")
    os.environ["TIKTOKEN_ENCODINGS_BASE"] = str(folder)
    try:
        encoding = harmony.load_harmony_encoding(harmony.HarmonyEncodingName.HARMONY_GPT_OSS)
    finally:
        del os.environ["TIKTOKEN_ENCODINGS_BASE"]
        if before is not None:
            os.environ["TIKTOKEN_ENCODINGS_BASE"] = before
    yield Oracle(harmony, encoding)


class Oracle:
    """The reference renderer and parser, told the messages of ours."""

    def __init__(self, harmony: ModuleType, encoding: Any) -> None:
        self.harmony = harmony
        self.encoding = encoding

    def message(self, message: Message, dialect: str = "B") -> Any:
        """One message. Dialect A, which it can't write by itself, is spelled as a channel to `all`."""
        h = self.harmony
        if message.role == "user":
            return h.Message.from_role_and_content(h.Role.USER, message.content)
        if message.role == "tool":
            author = h.Author.new(h.Role.TOOL, message.name)
            return (
                h.Message.from_author_and_content(author, message.content)
                .with_recipient("assistant")
                .with_channel(message.channel or "commentary")
            )
        said = h.Message.from_role_and_content(h.Role.ASSISTANT, message.content).with_channel(message.channel)
        if message.recipient is None:
            return said
        if dialect == "A":
            said = said.with_channel(f"{message.channel} to={message.recipient}").with_recipient("all")
        else:
            said = said.with_recipient(message.recipient)
        kind = {"A": "<|constrain|>json", "B": "<|constrain|>json", "C": "json", "D": None}[dialect]
        return said.with_content_type(kind) if kind else said

    def prompt(self, messages: list[Any], *, drop: bool = False) -> list[int]:
        h = self.harmony
        settings = h.RenderConversationConfig(auto_drop_analysis=drop)
        return self.encoding.render_conversation_for_completion(h.Conversation.from_messages(messages), h.Role.ASSISTANT, settings)
