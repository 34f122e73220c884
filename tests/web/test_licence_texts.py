import re
from pathlib import Path

import pytest

from castalia.web.licences import identify, identify_all

TEXTS = Path(__file__).parents[2] / "../shared/gold/licence/spdx-texts"
pytestmark = pytest.mark.skipif(not TEXTS.is_dir(), reason="the licence texts are not beside the repository")


def text(spdx: str) -> str:
    return (TEXTS / f"{spdx}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("spdx", ["MIT", "BSD-3-Clause", "ISC", "Zlib", "CC0-1.0"])
def test_another_holder_other_lines_and_comment_signs_leave_a_licence_what_it_is(spdx: str):
    held = re.sub(r"(?im)^copyright .*$", "Copyright (c) 2011-2024 Ann Smith and the Frobnicator contributors", text(spdx))
    joined = "\n\n".join(" ".join(part.split()) for part in held.split("\n\n"))
    assert identify(joined) == spdx
    assert identify("".join(f"// {line}\n" for line in held.splitlines())) == spdx
    assert identify(held.replace("\n", "\r\n")) == spdx


@pytest.mark.parametrize("spdx", ["MIT", "Apache-2.0", "BSD-2-Clause", "ISC"])
@pytest.mark.parametrize(
    "rider",
    [
        "The Software may be used for non-commercial purposes only.",
        "The rights granted do not include the right to sell the Software.",
        "For personal use only.",
        "The author may revoke this permission at any time.",
    ],
)
def test_a_licence_with_a_rider_is_not_that_licence(spdx: str, rider: str):
    assert identify(f"{text(spdx)}\n\n{rider}\n") is None
    assert identify(f"Copyright 2020 Ann. {rider}\n\n{text(spdx)}") is None


@pytest.mark.parametrize(
    ("spdx", "words", "others"),
    [
        ("MIT", "without restriction", "with restrictions"),
        ("MIT", ", and/or sell", ""),
        ("MIT", "is hereby granted", "is hereby not granted"),
        ("BSD-2-Clause", "with or without modification", "without modification"),
        ("ISC", "for any purpose", "for private purposes"),
    ],
)
def test_a_few_words_make_another_licence(spdx: str, words: str, others: str):
    flat = "\n\n".join(" ".join(part.split()) for part in text(spdx).split("\n\n"))
    assert words in flat
    assert identify(flat) == spdx
    assert identify(flat.replace(words, others)) is None


@pytest.mark.parametrize("share", [0.5, 0.75, 0.9])
def test_a_cut_text_is_no_licence(share: float):
    assert identify(text("MIT")[: int(len(text("MIT")) * share)]) is None


def test_files_of_a_folder_must_agree():
    assert identify_all({"LICENSE": text("MIT"), "LICENSES/MIT.txt": text("MIT")}) == "MIT"
    assert identify_all({"LICENSE": text("MIT"), "LICENSE.txt": text("MPL-2.0")}) is None
    assert identify_all({"COPYING": text("GPL-3.0-only"), "COPYING.LESSER": text("LGPL-3.0-only")}) == "LGPL-3.0-only"
