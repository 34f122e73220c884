"""Known licences as data: hashes of all runs of five words of each text, in the order of the text.

`python -m castalia.web.licences.fingerprints FOLDER` makes them from a folder of texts named after their SPDX ids, such as the
text folder of the SPDX licence list. Hashes say which text it is without holding it.
"""

import hashlib
import json
import re
import sys
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from castalia.web.licences.words import WORDS_PER_SHINGLE, licence_words
from castalia.web.prescan import word_set

_FILE = Path(__file__).with_name("fingerprints.json")
WHOLE = word_set(
    "0BSD Apache-2.0 Artistic-2.0 BlueOak-1.0.0 BSD-2-Clause BSD-2-Clause-Patent BSD-3-Clause BSD-3-Clause-Clear BSD-3-Clause-HP "
    "BSD-4-Clause BSL-1.0 "
    "CC-BY-3.0 CC-BY-4.0 CC-BY-NC-4.0 CC-BY-NC-ND-4.0 CC-BY-NC-SA-4.0 CC-BY-ND-4.0 CC-BY-SA-3.0 CC-BY-SA-4.0 CC0-1.0 ECL-2.0 ISC MIT MIT-0 "
    "MS-PL MS-RL NCSA "
    "OFL-1.1 OGL-UK-3.0 PDDL-1.0 PostgreSQL PSF-2.0 Unicode-3.0 Unlicense UPL-1.0 Vim WTFPL X11 Zlib"
)
SAMPLED = word_set(
    "AGPL-3.0-only CPL-1.0 EPL-1.0 EPL-2.0 EUPL-1.1 EUPL-1.2 GFDL-1.2-only GFDL-1.3-only GPL-2.0-only GPL-3.0-only "
    "LGPL-2.1-only LGPL-3.0-only MPL-2.0 ODbL-1.0"
)
"""Of a long text one hash in four is kept; the choice depends on the hash, so both sides agree."""
_SAMPLE = 4
_END = re.compile(
    r"end of terms and conditions|\bfor more information,? please refer to\s*<?https?://unlicense|"
    r"(?<=\n)\W*Creative Commons is not a party to its public licenses",
    re.IGNORECASE,
)
_PREAMBLE = re.compile(
    r"(?<=\n)\W*(?:Statement of Purpose\s+The laws of most jurisdictions|By exercising the Licensed Rights)", re.IGNORECASE
)
_GPL_BEHIND_LGPL = re.compile(r"(?<=\n)\s*GNU GENERAL PUBLIC LICENSE\s+Version 3", re.IGNORECASE)
_OFTEN_ADDED = {
    "CC-BY": "The text of the Creative Commons public licenses is dedicated to the public domain under the CC0 Public Domain Dedication",
    "MIT": "(including the next paragraph)",
}
"""Words that some editions of a text have and others don't."""
_NAMING = word_set(
    "a above an and anyone apache association author authors berkeley board by c california consortium contributor contributors copyright "
    "corporation development distributors foundation global group holder holders in inc internet is isc its january listed name names nor "
    "of or "
    "organization owner owners as database formerly known management perl postgres postgres95 postgresql "
    "provided regents software system systems then the this trustees university vim www org http https"
)
"""Words where editions of a text name their holder, and the words around them. All others must stand in a text that is the licence."""


class Fingerprint(NamedTuple):
    """`required`: hashes in the order of the text; `optional`: what may follow; `naming`: the places in the
    text of words that other editions replace by a holder's name."""

    spdx: str
    required: tuple[int, ...]
    optional: frozenset[int]
    naming: frozenset[int]
    sampled: bool

    @property
    def known(self) -> frozenset[int]:
        """All hashes that may stand in the text."""
        return _known(self.spdx)


def runs(words: list[str]) -> list[int]:
    """32-bit hashes of all runs of five words, in order."""
    last = len(words) - WORDS_PER_SHINGLE + 1
    joined = (" ".join(words[start : start + WORDS_PER_SHINGLE]) for start in range(max(0, last)))
    return [int.from_bytes(hashlib.blake2b(run.encode(), digest_size=4).digest(), "big") for run in joined]


def sampled(values: set[int]) -> set[int]:
    """The part of `values` that fingerprints of long texts keep."""
    return {value for value in values if value % _SAMPLE == 0}


def head(text: str) -> str:
    """The terms without what some editions leave out: who wrote them, how to apply them, the GPL behind the LGPL."""
    found = _GPL_BEHIND_LGPL.search(text, 2_000)
    text = _END.split(text[: found.start()] if found and "LESSER" in text[:300].upper() else text)[0]
    start = _PREAMBLE.search(text)
    return text[start.start() :] if start else text


@cache
def fingerprints() -> dict[str, Fingerprint]:
    """The known licences by SPDX id."""
    stored: dict[str, dict[str, Any]] = json.loads(_FILE.read_text())
    return {
        spdx: Fingerprint(
            spdx, _decode(entry["required"]), frozenset(_decode(entry["optional"])), frozenset(entry["naming"]), entry["sampled"]
        )
        for spdx, entry in stored.items()
    }


@cache
def _known(spdx: str) -> frozenset[int]:
    found = fingerprints()[spdx]
    return found.optional.union(found.required)


def _decode(text: str) -> tuple[int, ...]:
    return tuple(int(text[start : start + 8], 16) for start in range(0, len(text), 8))


def _encode(values: list[int]) -> str:
    return "".join(f"{value:08x}" for value in values)


def make_fingerprints(folder: Path) -> dict[str, dict[str, Any]]:
    """Fingerprints of the known licences from `folder/SPDX-ID.txt`."""
    made: dict[str, dict[str, Any]] = {}
    for spdx in sorted(WHOLE | SAMPLED):
        text = (folder / f"{spdx}.txt").read_text(encoding="utf-8")
        words = licence_words(head(text))
        required = runs(words)
        optional = {*runs(licence_words(text))}
        for name, addition in _OFTEN_ADDED.items():
            if spdx.startswith(name):
                optional.update(runs(licence_words(addition)))
        optional -= {*required}
        naming = [place for place, word in enumerate(words) if word in _NAMING or word.isdigit() or len(word) == 1]
        if spdx in SAMPLED:
            required, optional, naming = sorted(sampled({*required})), sampled(optional), []
        made[spdx] = {
            "sampled": spdx in SAMPLED, "naming": naming, "required": _encode(required), "optional": _encode(sorted(optional)),
        }  # fmt: skip
    return made


if __name__ == "__main__":
    _FILE.write_text(json.dumps(make_fingerprints(Path(sys.argv[1])), indent=0) + "\n")
