"""Licence files: labelled ones, and texts changed by rule: some still are the licence, others no longer are."""

import random
import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from benchmarks.licences_planted import half
from castalia.web.licences import identify_all

_PLAIN = (
    "MIT",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Apache-2.0",
    "Zlib",
    "PostgreSQL",
    "BSL-1.0",
    "Unlicense",
    "CC0-1.0",
    "CC-BY-4.0",
    "0BSD",
)
_RIDERS = {
    "non-commercial": "The Software may be used for non-commercial purposes only.",
    "no-selling": "The grant of rights under this licence does not include the right to sell the Software or a service built on it.",
    "no-commerce": "Commercial use needs a separate agreement with the copyright holder.",
    "good": "The Software shall be used for Good, not Evil.",
    "no-military": "You may not use this software in weapons or for military purposes.",
    "no-training": "It is forbidden to use this work to train machine learning models.",
    "notify": "Anyone who modifies the software must send the changes to the author within thirty days.",
    "advertise": "All advertising material mentioning features of this software must display an acknowledgement of its authors.",
    "revocable": "The author may revoke this permission at any time.",
    "size": "Companies with more than 100 employees need a paid licence.",
    "education": "This permission is limited to academic and educational institutions.",
    "no-change": "Modified versions may not be distributed.",
    "countries": "Use in the countries listed in EXPORT.txt is excluded.",
    "expiry": "This permission ends on 31 December 2030.",
    "personal": "For personal use only.",
    "source": "Every copy has to be accompanied by the complete source code of the work it is part of.",
}
_SWAPS = {
    "not-granted": (r"\bis hereby granted\b", "is hereby not granted"),
    "fee": (r"\bfree of charge\b|\bwithout fee\b", "for a fee"),
    "restricted": (r"\bwithout restriction\b", "with restrictions"),
    "no-sell": (r", and/or sell\b", ""),
    "no-modify": (r"\bmodify, ", ""),
    "forbidden": (r"\bare permitted\b", "are forbidden"),
    "not-any": (r"\bfor any purpose\b", "for private purposes"),
    "with-changes": (r"\bwith or without\s+modification\b", "without modification"),
    "no-derivatives": (r"\bprepare Derivative Works of, ", ""),
    "internal": (r"\bpublicly display\b", "internally display"),
}

_LICENCE_FILE = re.compile(r"(?:un)?licen[cs]e|copying|patents", re.IGNORECASE)


class Text(NamedTuple):
    """One licence file. `expected` is its SPDX id, None when it is no known licence, or no longer one."""

    name: str
    half: str
    text: str
    expected: str | None


class Fixtures(NamedTuple):
    """Counts over the labelled files."""

    known: int
    correct: int
    unknown: int
    accepted: int
    wrong: tuple[str, ...]


def fixtures(folder: Path) -> Fixtures:
    """Licensee's fixtures: folders with a licence file at the top. A folder whose files name different licences names none."""
    known = correct = unknown = accepted = 0
    wrong: list[str] = []
    for name, key in _keys(folder / "fixtures.yml").items():
        paths = [path for path in sorted((folder / name).glob("*")) if path.is_file()]
        files = {path.name: path.read_bytes().decode("utf-8", "replace") for path in paths if _LICENCE_FILE.match(path.name)}
        if not files or key is None:
            continue
        for path in sorted((folder / name).glob("LICENSES/*")):
            files[f"LICENSES/{path.name}"] = path.read_bytes().decode("utf-8", "replace")
        said = identify_all(files)
        if key in ("other", "no-license"):
            unknown += 1
            accepted += said is not None
            right = said is None
        else:
            known += 1
            right = said is not None and re.sub(r"-(?:only|or-later)$", "", said).lower() == key
            correct += right
        if not right:
            wrong.append(f"{name}: {key}, said {said}")
    return Fixtures(known, correct, unknown, accepted, tuple(wrong))


def changed(folder: Path, seed: int) -> Iterator[Text]:
    """Texts of permissive licences after changes that leave them what they are, and after others that don't."""
    for spdx in _PLAIN:
        path = folder / f"{spdx}.txt"
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            draw = random.Random(f"{seed} {spdx}")
            for name, change in _harmless().items():
                yield Text(f"{spdx} {name}", half(name), change(text), spdx)
            for name, words in _RIDERS.items():
                yield Text(f"{spdx} + {name}", half(name), _with_rider(text, words, draw), None)
            for name, (pattern, words) in _SWAPS.items():
                if re.search(pattern, text):
                    yield Text(f"{spdx} {name}", half(name), re.sub(pattern, words, text, count=1), None)
            for share in (0.5, 0.75, 0.9):
                yield Text(f"{spdx} cut at {share:.0%}", half(f"cut {share}"), text[: int(len(text) * share)], None)


def _harmless() -> Mapping[str, Callable[[str], str]]:
    return {
        "as is": str,
        "holder": lambda text: re.sub(
            r"(?im)^(copyright .*)$", "Copyright (c) 2011-2024 Ann Smith <ann@example.org> and the Frobnicator contributors", text
        ),
        "no holder": lambda text: re.sub(r"(?im)^copyright .*\n", "", text),
        "narrow": lambda text: "\n\n".join(textwrap.fill(part, 50) for part in text.split("\n\n")),
        "one line a paragraph": lambda text: "\n\n".join(" ".join(part.split()) for part in text.split("\n\n")),
        "hash comment": lambda text: "".join(f"# {line}\n" for line in text.splitlines()),
        "slash comment": lambda text: "".join(f"// {line}\n" for line in text.splitlines()),
        "star comment": lambda text: "/*\n" + "".join(f" * {line}\n" for line in text.splitlines()) + " */\n",
        "indented": lambda text: "".join(f"    {line}\n" for line in text.splitlines()),
        "windows": lambda text: text.replace("\n", "\r\n"),
        "quotes": lambda text: text.replace('"', "``", 1).replace("'", "’"),
        "project first": lambda text: f"Frobnicator\n===========\n\n{text}",
    }


def _with_rider(text: str, words: str, draw: random.Random) -> str:
    """The text with one more paragraph, at its end, its start or between two of its own."""
    parts = text.rstrip().split("\n\n")
    parts.insert(draw.choice((len(parts), len(parts), max(1, len(parts) // 2), min(1, len(parts)))), words)
    return "\n\n".join(parts) + "\n"


def _keys(path: Path) -> dict[str, str | None]:
    """Folder names and their licence keys, from the two levels of YAML that the fixture list has."""
    keys: dict[str, str | None] = {}
    name = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if found := re.fullmatch(r"([\w.-]+):\s*", line):
            name = found[1]
        elif found := re.fullmatch(r"  key:\s*(\S*)\s*", line):
            keys[name] = found[1] or None
    return keys
