"""Which licence a text is: how much of the licence stands in the file, and how much of the file is that licence.

Both shares must be high, and more is asked of permissive licences, where a few words are the difference. Nothing of the licence may be
missing as a whole: no passage, and none of the words that grant or limit. And what stands in the file beyond the licence may be a
name, but not a clause. A known licence with a clause added, changed or cut off is not that licence.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from castalia.web.licences.fingerprints import Fingerprint, fingerprints, head, runs, sampled
from castalia.web.licences.words import WORDS_PER_SHINGLE, licence_words, notice_words
from castalia.web.prescan import word_set

_SHARE = 0.85
"""Least share of the licence's shingles that the file must contain, and of the file's that the licence must explain: the name of a
holder in the text costs five."""
_LONG = 600
_LONG_SHARE = 0.95
"""Both shares for texts of more than `_LONG` shingles, where a tenth could be a whole section."""
_SAMPLED_SHARE = 0.93
_TITLE_WORDS = 6
_LONGEST_ADDITION = 16
"""Words in a row that the licence doesn't have: a name fits, a clause doesn't."""
_CLAUSE = word_set(
    "academic acknowledgement acknowledgment advertising agree agreement allowed any are be been before being both can cannot clause "
    "commercial "
    "companies condition conditions copied copies copy derivative derivatives distribute distributed during each educational employees "
    "ends evil "
    "every except exclude excluded excluding expire expires fee fees forbidden good grant granted granting had has have if internal is it "
    "less "
    "license licensed licensing limited may might military modification modified modify must need needs neither no non noncommercial none "
    "not "
    "nuclear only our paid pay payment permission permit permitted personal private prohibited purpose purposes redistribute require "
    "required "
    "requires resell restricted restriction restrictions revoke revoked right rights sell shall should sold subject such terminate "
    "terminated "
    "terminates than that their these they this those trademark trademarks under unless until use used user users uses using we what when "
    "which "
    "who whom whose will within without would you your"
)
"""Words that names don't have. An addition with one of them changes the licence, however short it is."""
_LIMITING = word_set(
    "commercial evaluation except forbidden internal military must noncommercial not only permission personal private "
    "prohibited revocable revoked trial unless until written"
)
"""Words that titles and copyright lines don't have either."""
_NOTICE_WORDS = 120


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
    known = fingerprints()[match.spdx]
    share = _SAMPLED_SHARE if known.sampled else _LONG_SHARE if len(known.required) > _LONG else _SHARE
    if min(match.licence_share, match.file_share) < share:
        return None
    if known.sampled:
        return match.spdx
    return match.spdx if is_whole(text, known) and not adds_a_clause(text, known) else None


def identify_all(files: Mapping[str, str]) -> str | None:
    """The one licence of a folder's licence files (name and text); None when they name none, or several.

    A short notice that the text of another file is meant counts as that file; the LGPL comes with the GPL that it refers to.
    """
    found = {name: identify(text) for name, text in files.items() if text.strip()}
    named = {spdx for spdx in found.values() if spdx}
    if any(spdx is None and len(files[name].split()) > _NOTICE_WORDS for name, spdx in found.items()):
        return None
    if len(named) == 2 and "GPL-3.0-only" in named:
        named = {spdx for spdx in named if spdx.startswith("LGPL-3")} or named
    return named.pop() if len(named) == 1 else None


def closest(text: str) -> Match | None:
    """The known licence nearest to `text`, whether it is near enough or not."""
    candidates = [values for values in (shingles(text), shingles(head(text))) if values]
    best: Match | None = None
    for spdx, known in fingerprints().items():
        required = frozenset(known.required)
        for candidate in candidates:
            seen = sampled(candidate) if known.sampled else candidate
            if not seen:
                continue
            match = Match(spdx, len(required & seen) / len(required), len(known.known & seen) / len(seen))
            if best is None or min(match[1:]) > min(best[1:]):
                best = match
    return best


def is_whole(text: str, known: Fingerprint) -> bool:
    """Whether nothing of the licence is lost in `text` but its title and words that name a holder."""
    return all(place < _TITLE_WORDS or place in known.naming for lost in lost_words(text, known) for place in lost)


def lost_words(text: str, known: Fingerprint) -> list[range]:
    """Places of the licence's words, in runs, that no shingle of `text` holds."""
    seen = shingles(text)
    held = [False] * (len(known.required) + WORDS_PER_SHINGLE - 1)
    for start, value in enumerate(known.required):
        if value in seen:
            held[start : start + WORDS_PER_SHINGLE] = [True] * WORDS_PER_SHINGLE
    lost: list[range] = []
    for place, is_held in enumerate(held):
        if not is_held:
            joins = lost and lost[-1].stop == place
            lost[-1:] = [range(lost[-1].start, place + 1)] if joins else [*lost[-1:], range(place, place + 1)]
    return lost


def adds_a_clause(text: str, known: Fingerprint) -> bool:
    """Whether words stand in `text` that the licence doesn't have, and that are more than a name."""
    if _LIMITING.intersection(notice_words(text)):
        return True
    words = licence_words(text)
    covered = [False] * len(words)
    for start, value in enumerate(runs(words)):
        if value in known.known:
            covered[start : start + WORDS_PER_SHINGLE] = [True] * WORDS_PER_SHINGLE
    addition: list[str] = []
    for word, is_covered in zip([*words, ""], [*covered, True], strict=True):
        if not is_covered:
            addition.append(word)
            continue
        if len(addition) > _LONGEST_ADDITION or _CLAUSE.intersection(addition):
            return True
        addition = []
    return False


def shingles(text: str) -> set[int]:
    """32-bit hashes of all runs of five words, after case, punctuation, titles and copyright lines are gone."""
    return set(runs(licence_words(text)))


def copyright_lines(text: str) -> str:
    """The copyright notices of a licence file in one line, at most 300 characters."""
    lines = [" ".join(line.split()) for line in text.splitlines()[:60] if re.match(r"^\W*(?:copyright\b|©)", line, re.IGNORECASE)]
    return "; ".join(line for line in lines if re.search(r"\d{4}", line))[:300]
