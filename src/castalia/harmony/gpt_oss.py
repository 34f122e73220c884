# pyright: basic
"""The vocabulary of GPT-OSS, offline: the ranks of o200k_base with the Harmony tokens above them.

The ranks come from the package `bpe-openai`, which ships them compressed, or from a folder named by the environment
variable that openai-harmony reads too. They are checked against their published hash and never fetched.
"""

import gzip
import hashlib
import os
import zlib
from base64 import b64decode
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from castalia.errors import ConfigError
from castalia.harmony.vocabulary import CALL, CHANNEL, CONSTRAIN, END, MESSAGE, RETURN, START, Vocabulary

if TYPE_CHECKING:
    import tiktoken

RANKS_SHA256: Final = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"
FOLDER_VARIABLE: Final = "TIKTOKEN_ENCODINGS_BASE"

SPECIAL: Final = {RETURN: 200002, CONSTRAIN: 200003, CHANNEL: 200005, START: 200006, END: 200007, MESSAGE: 200008, CALL: 200012}
NAMED: Final = {"<|startoftext|>": 199998, "<|endoftext|>": 199999, "<|endofprompt|>": 200018}
_LAST_ID: Final = 201087  # everything between the named tokens is reserved

# How o200k_base cuts text before merging: words (with one leading mark and an English contraction), numbers of at most
# three digits, runs of punctuation, line ends, spaces.
_UPPER, _LOWER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
_LEAD, _CONTRACTION = r"[^\r\n\p{L}\p{N}]?", r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
PATTERN: Final = "|".join(
    (
        f"{_LEAD}[{_UPPER}]*[{_LOWER}]+{_CONTRACTION}",
        f"{_LEAD}[{_UPPER}]+[{_LOWER}]*{_CONTRACTION}",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)


class _GptOss:
    name = "o200k_harmony"

    def __init__(self, encoding: "tiktoken.Encoding") -> None:
        self._encoding = encoding
        self.special: Mapping[str, int] = MappingProxyType(dict(SPECIAL))

    def encode(self, text: str) -> list[int]:
        return self._encoding.encode_ordinary(text)

    def decode(self, ids: Sequence[int]) -> str:
        try:
            return self._encoding.decode_bytes(list(ids)).decode("utf-8", errors="replace")
        except (KeyError, OverflowError):  # some of them mean nothing
            known = (self._encoding.decode_single_token_bytes(token) if 0 <= token <= _LAST_ID else "\ufffd".encode() for token in ids)
            return b"".join(known).decode("utf-8", errors="replace")


@cache
def gpt_oss_vocabulary() -> Vocabulary:
    """The vocabulary of gpt-oss-20b and gpt-oss-120b, loaded once (about half a second).

    Raises ConfigError when the ranks are absent or are not the published ones.
    """
    try:
        import tiktoken
    except ModuleNotFoundError as error:
        raise ConfigError("the GPT-OSS vocabulary needs the package 'tiktoken', which is not installed: pip install tiktoken") from error
    ranks = parse_ranks(read_ranks())
    named = {**NAMED, **SPECIAL}
    taken = set(named.values())
    reserved = {f"<|reserved_{number}|>": number for number in range(200000, _LAST_ID + 1) if number not in taken}
    return _GptOss(tiktoken.Encoding(_GptOss.name, pat_str=PATTERN, mergeable_ranks=ranks, special_tokens={**reserved, **named}))


def read_ranks() -> bytes:
    """The file `o200k_base.tiktoken`: one line per token, its bytes in base64 and its rank. Raises ConfigError."""
    folder = os.environ.get(FOLDER_VARIABLE)
    if folder:
        path = Path(folder) / "o200k_base.tiktoken"
        if not path.is_file():
            raise ConfigError(
                f"{FOLDER_VARIABLE} names {folder!r}, which holds no file 'o200k_base.tiktoken': put it there or unset the variable"
            )
        return _checked(path.read_bytes(), path)
    package = find_spec("bpe_openai")
    for place in (package.submodule_search_locations or []) if package else []:
        path = Path(place) / "data" / "o200k_base.tiktoken.gz"
        if path.is_file():
            return _checked(_unpacked(path), path)
    raise ConfigError(
        "the GPT-OSS vocabulary (o200k_base) is not on this machine: pip install 'bpe-openai>=0.1.4', "
        f"or set {FOLDER_VARIABLE} to a folder that holds o200k_base.tiktoken"
    )


def _unpacked(path: Path) -> bytes:
    try:
        return gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigError(f"vocabulary file {path.name!r} can't be read ({error}): install bpe-openai afresh") from error


def parse_ranks(data: bytes) -> dict[bytes, int]:
    """Token bytes to rank."""
    return {b64decode(token): int(rank) for token, _, rank in (line.partition(b" ") for line in data.splitlines() if line)}


def _checked(data: bytes, path: Path) -> bytes:
    found = hashlib.sha256(data).hexdigest()
    if found != RANKS_SHA256:
        raise ConfigError(
            f"vocabulary file {path.name!r} has sha256 {found}, expected {RANKS_SHA256}: it isn't o200k_base; install bpe-openai afresh"
        )
    return data
