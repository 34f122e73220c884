"""Which licence a text is: how much of the licence stands in the file, and how much of the file is that licence.

Both shares must be high. The second one is the coverage check: a known licence with a clause added or changed is not
that licence. Known licences are kept as hashes of five-word shingles, made by
`python -m castalia.web.licences.texts FOLDER` from a folder of texts named after their SPDX ids.
"""

import hashlib
import json
import re
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

from castalia.web.prescan import word_set

KNOWN = (
    *("MIT", "MIT-0", "BSD-2-Clause", "BSD-3-Clause", "0BSD", "ISC", "Apache-2.0", "PostgreSQL", "Zlib", "BSL-1.0", "Unlicense", "NCSA"),
    *(
        "PSF-2.0",
        "X11",
        "CC0-1.0",
        "CC-BY-3.0",
        "CC-BY-4.0",
        "CC-BY-SA-3.0",
        "CC-BY-SA-4.0",
        "CC-BY-NC-4.0",
        "CC-BY-ND-4.0",
        "CC-BY-NC-SA-4.0",
    ),
    *(
        "CC-BY-NC-ND-4.0",
        "GPL-2.0-only",
        "GPL-3.0-only",
        "LGPL-2.1-only",
        "LGPL-3.0-only",
        "AGPL-3.0-only",
        "MPL-2.0",
        "EPL-1.0",
        "EPL-2.0",
    ),
    *("EUPL-1.2", "GFDL-1.3-only", "Artistic-2.0", "BSD-4-Clause", "ODbL-1.0", "PDDL-1.0"),
)
_FILE = Path(__file__).with_name("fingerprints.json")
_WORDS_PER_SHINGLE = 5
_LICENCE_SHARE = 0.88
"""Least share of the licence's shingles that the file must contain."""
_FILE_SHARE = 0.88
"""Least share of the file's shingles that the licence must explain."""
_LONG_SHARE = 0.95
"""Both shares for long texts, where a tenth could be a whole section."""
_SAMPLE = 4
"""Of a long copyleft text one in four hashes is kept; the choice depends on the hash, so both sides agree."""
_LONGEST_ADDITION = 16
"""Words in a row that the licence doesn't have: a name fits, a clause doesn't."""
_RESTRICTING = word_set(
    "commercial noncommercial derivative derivatives evil good military nuclear except must prohibited unless trademark trademarks "
    "advertising acknowledgment acknowledgement fee academic research educational clause"
)
"""An addition with one of these words changes the licence, however short it is."""
_SAMPLED = ("GPL", "LGPL", "AGPL", "MPL", "EPL", "EUPL", "GFDL", "ODbL")

_COPYRIGHT = re.compile(
    r"^\W*(?:portions\s+)?(?:copyright\s*(?:\(c\)|©|[<\[{(]|\d{4}|by\b|the\b)|©|\(c\)\s*(?:\d{4}|copyright)|all rights reserved\b).*$",
    re.IGNORECASE,
)
_CONTINUED = re.compile(r"^\s*(?:and|by|\d{4})\b.{0,60}$", re.IGNORECASE)
_TITLE = re.compile(r"^\W*(?:the\s+)?[\w .,\"'()/:-]{0,60}\blicen[cs]e\b[\w .,\"'()/:-]{0,30}$", re.IGNORECASE)
_TAG = re.compile(
    r"<(?:/?(?:p|br|h\d|div|span|a|b|i|em|strong|html|head|body|title|ul|ol|li|pre|meta|hr)\b[^>]{0,300}|!doctype[^>]{0,200})>",
    re.IGNORECASE,
)
_END = re.compile(r"end of terms and conditions", re.IGNORECASE)
_ENTITY = {"&amp;": "&", "&quot;": '"', "&lt;": "<", "&gt;": ">", "&nbsp;": " "}


class Match(NamedTuple):
    """The best known licence. `licence_share` and `file_share` are in 0..1."""

    spdx: str
    licence_share: float
    file_share: float


def identify(text: str) -> str | None:
    """SPDX id of the licence that `text` is, all of it and nothing else; None when it is none or was changed."""
    match = closest(text)
    if match is None:
        return None
    long = match.spdx.startswith((*_SAMPLED, "CC-"))
    enough = min(match[1:]) >= _LONG_SHARE if long else match.licence_share >= _LICENCE_SHARE and match.file_share >= _FILE_SHARE
    return match.spdx if enough and not _adds_a_clause(text, match.spdx) else None


def _adds_a_clause(text: str, spdx: str) -> bool:
    """Whether words stand in the text that the licence doesn't have, and that are more than a name."""
    known = _fingerprints()[spdx]
    if known.sampled:
        return False
    words = _words(text)
    covered = [False] * len(words)
    for start, value in enumerate(_runs(words)):
        if value in known.required or value in known.optional:
            covered[start : start + _WORDS_PER_SHINGLE] = [True] * _WORDS_PER_SHINGLE
    addition: list[str] = []
    for word, is_covered in zip([*words, ""], [*covered, True], strict=True):
        if not is_covered:
            addition.append(word)
            continue
        if len(addition) > _LONGEST_ADDITION or _RESTRICTING.intersection(addition):
            return True
        addition = []
    return False


def closest(text: str) -> Match | None:
    """The known licence nearest to `text`, whether it is near enough or not."""
    candidates = [values for values in (shingles(text), shingles(_END.split(text)[0])) if values]
    best: Match | None = None
    for spdx, known in _fingerprints().items():
        for candidate in candidates:
            seen = _sampled(candidate) if known.sampled else candidate
            if not seen:
                continue
            match = Match(spdx, len(known.required & seen) / len(known.required), len((known.required | known.optional) & seen) / len(seen))
            if best is None or min(match[1:]) > min(best[1:]):
                best = match
    return best


def shingles(text: str) -> set[int]:
    """32-bit hashes of all runs of five words, after case, punctuation, titles and copyright lines are gone."""
    return set(_runs(_words(text)))


def _runs(words: list[str]) -> list[int]:
    runs = (" ".join(words[start : start + _WORDS_PER_SHINGLE]) for start in range(max(0, len(words) - _WORDS_PER_SHINGLE + 1)))
    return [int.from_bytes(hashlib.blake2b(run.encode(), digest_size=4).digest(), "big") for run in runs]


def copyright_lines(text: str) -> str:
    """The copyright notices of a licence file in one line, at most 300 characters."""
    lines = [
        " ".join(line.split()) for line in text.splitlines()[:60] if re.match(r"^\W*(?:portions\s+)?(?:copyright\b|©)", line, re.IGNORECASE)
    ]
    return "; ".join(line for line in lines if re.search(r"\d{4}", line))[:300]


def _words(text: str) -> list[str]:
    text = _TAG.sub(" ", text)
    for entity, character in _ENTITY.items():
        text = text.replace(entity, character)
    text = re.sub(r"\[([^\]]{0,200})\]\((?:https?:|#|mailto:)[^)\s]{0,300}\)", r"\1", text)
    text = re.sub(r"https?://", "", text)
    kept: list[str] = []
    after_copyright = False
    for line in text.splitlines():
        if _COPYRIGHT.match(line):
            after_copyright = True
            continue
        if after_copyright and line.strip() and _CONTINUED.match(line):
            continue
        after_copyright = False
        if not (_TITLE.match(line) and len(kept) < 40 and len(line.split()) < 9):
            kept.append(re.sub(r"^\s*(?:[-*•#>]+|\(?[0-9a-z]{1,3}[.)])\s+", "", line))
    flat = " ".join(kept).lower().replace("licence", "license")
    return re.findall(r"[a-z0-9]+", re.sub(r"['’`*_]", "", flat))


def _sampled(values: set[int]) -> set[int]:
    return {value for value in values if value % _SAMPLE == 0}


class _Fingerprint(NamedTuple):
    required: frozenset[int]
    optional: frozenset[int]
    sampled: bool


@cache
def _fingerprints() -> dict[str, _Fingerprint]:
    stored = json.loads(_FILE.read_text())
    return {spdx: _Fingerprint(_decode(entry["required"]), _decode(entry["optional"]), entry["sampled"]) for spdx, entry in stored.items()}


def _decode(text: str) -> frozenset[int]:
    return frozenset(int(text[start : start + 8], 16) for start in range(0, len(text), 8))


def _encode(values: set[int]) -> str:
    return "".join(f"{value:08x}" for value in sorted(values))


def make_fingerprints(folder: Path) -> dict[str, dict[str, str | bool]]:
    """Fingerprints of the known licences from `folder/SPDX-ID.txt`. What follows the terms (how to apply them) is optional."""
    made: dict[str, dict[str, str | bool]] = {}
    for spdx in KNOWN:
        text = (folder / f"{spdx}.txt").read_text(encoding="utf-8")
        head = _END.split(text)[0]
        required = shingles(head)
        optional = shingles(text) - required
        sampled = spdx.startswith(_SAMPLED)
        if sampled:
            required, optional = _sampled(required), _sampled(optional)
        made[spdx] = {"sampled": sampled, "required": _encode(required), "optional": _encode(optional)}
    return made


if __name__ == "__main__":
    _FILE.write_text(json.dumps(make_fingerprints(Path(sys.argv[1])), indent=0) + "\n")
