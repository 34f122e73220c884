# pyright: basic
"""Models with another tokenizer: the same renderer over their ids, with the seven Harmony tokens added to them."""

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import PurePath
from types import MappingProxyType
from typing import Any

from castalia.errors import ConfigError, InputError
from castalia.harmony.vocabulary import HARMONY_TOKENS, Vocabulary

_PROBES = ("a", " a", "a B\n\n  c", '{"k": [1, 2]}', "<|end|>", "naïve – 日本")


class _Foreign:
    def __init__(self, tokenizer: Any, name: str, special: Mapping[str, int]) -> None:
        self._tokenizer = tokenizer
        self.name = name
        self.special = MappingProxyType(dict(special))
        self._added: dict[int, str] = {number: str(token) for number, token in tokenizer.added_tokens_decoder.items()}
        # Cutting a literal after its first character leaves nothing for the tokenizer to recognise.
        literals = sorted((text for text in self._added.values() if len(text) > 1), key=len, reverse=True)
        self._literal = re.compile("|".join(re.escape(text) for text in literals))

    def encode(self, text: str) -> list[int]:
        if not text:
            return []
        if not self._literal.search(text):
            return self._ids(text)
        ids = self._ids(text, split_special_tokens=True)
        if not any(token in self._added for token in ids):
            return ids
        cuts = [0, *(match.start() + 1 for match in self._literal.finditer(text)), len(text)]
        return [token for start, end in pairwise(cuts) for token in self._ids(text[start:end], split_special_tokens=True)]

    def decode(self, ids: Sequence[int]) -> str:
        size = len(self._tokenizer)
        text: list[str] = []
        run: list[int] = []
        for token in ids:
            if 0 <= token < size:
                run.append(token)
                continue
            text.append(self._text(run) + "\ufffd")
            run = []
        return "".join(text) + self._text(run)

    def _ids(self, text: str, **options: Any) -> list[int]:
        if not text:
            return []
        try:
            return list(self._tokenizer(text, add_special_tokens=False, **options)["input_ids"])
        except (TypeError, UnicodeError) as error:
            if not any("\ud800" <= character <= "\udfff" for character in text):
                raise
            raise InputError(f"the text {text[:60]!r} holds half of a character, which tokenizer {self.name!r} can't read") from error

    def _text(self, ids: list[int]) -> str:
        if not ids:
            return ""
        return self._tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)


def foreign_vocabulary(tokenizer: Any, name: str | None = None) -> Vocabulary:
    """Wraps a tokenizer of Hugging Face's kind to which HARMONY_TOKENS were added as special tokens. `name` is for
    records and messages; without it the last part of the tokenizer's own name is taken.

    Raises ConfigError when one of the seven is missing, or when the tokenizer doesn't give text back as it was, in which
    case no mask over it can be exact.
    """
    name = name or PurePath(str(getattr(tokenizer, "name_or_path", "") or type(tokenizer).__name__)).name
    known: Mapping[str, int] = tokenizer.get_vocab()
    missing = [token for token in HARMONY_TOKENS if token not in known]
    if missing:
        raise ConfigError(
            f"tokenizer {name!r} lacks the Harmony tokens {missing}: "
            "tokenizer.add_special_tokens({'additional_special_tokens': list(HARMONY_TOKENS)}) and resize the model's embeddings"
        )
    vocabulary = _Foreign(tokenizer, name, {token: known[token] for token in HARMONY_TOKENS})
    for probe in _PROBES:
        ids = vocabulary.encode(probe)
        back = vocabulary.decode(ids)
        if back != probe or any(token in vocabulary.special.values() for token in ids):
            raise ConfigError(
                f"tokenizer {name!r} turns {probe!r} into {back!r}: Harmony needs one that gives text back unchanged and "
                "keeps special-token literals apart; switch off its normalizer and its added prefix space"
            )
    return vocabulary
