import random
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from castalia.records import Block, Document, LicenceDecision, Likeness, Reject
from castalia.stages.deduplicate import STAGE
from castalia.stages.deduplicate.candidates import band_pairs
from castalia.stages.deduplicate.minhash import band_keys
from castalia.stages.deduplicate.words import jaccard, shingles, words_of
from castalia.web.urls import url_key

GOLD = Path(__file__).parents[2] / "../shared/gold/licence/spdx-texts"
ALLOWED = LicenceDecision(spdx="MIT", verdict="allowed", reason="by file")
UNKNOWN = LicenceDecision(spdx=None, verdict="abstain", reason="nothing seen")


def document(url: str, text: str, *, title: str = "T", licence: LicenceDecision = ALLOWED) -> Document:
    return Document(url=url, title=title, blocks=(Block(number=0, kind="paragraph", text=text),), licence=licence)


def words(seed: int, count: int = 400) -> list[str]:
    source = random.Random(seed)
    return [f"w{source.randrange(5000)}" for _ in range(count)]


def deduplicate(*documents: Document) -> tuple[list[str], dict[str, tuple[str, str]]]:
    """URLs that are kept, and (reason, kept id) by URL of the others."""
    records = list(STAGE.run({"documents_scrubbed": sorted(documents, key=lambda item: item.id)}, STAGE.params(), SimpleNamespace()))
    rejects = {record.subject: (record.reason, record.detail.split()[1].rstrip(":")) for record in records if isinstance(record, Reject)}
    return sorted(record.url for record in records if isinstance(record, Document)), rejects


def test_spellings_of_one_address_are_one_document_and_the_longer_stays():
    long, short = document("http://h.example/a/", "one two three four five six"), document("http://www.h.example/a/index.html", "one two")
    assert deduplicate(short, long) == (["http://h.example/a/"], {"http://www.h.example/a/index.html": ("duplicate-url", long.id)})


def test_equal_text_is_one_document():
    first, second = document("http://h/a", "the same text"), document("http://h/b", "the  same\ntext")
    assert (
        deduplicate(second, first)[1]["http://h/a" if "http://h/a" in deduplicate(second, first)[1] else "http://h/b"][0]
        == "duplicate-content"
    )
    assert len(deduplicate(second, first)[0]) == 1


def test_a_near_duplicate_names_the_kept_document():
    text = words(1)
    changed = [*text[:200], "other", *text[201:]]
    one, other = document("http://h/a", " ".join([*text, "end"])), document("http://h/b", " ".join(changed))
    assert deduplicate(one, other) == (["http://h/a"], {"http://h/b": ("near-duplicate", one.id)})


def test_a_verified_licence_is_kept_before_a_longer_text():
    text = " ".join(words(2))
    licensed, unlicensed = document("http://h/b", text), document("http://h/a", text + " and more", licence=UNKNOWN)
    assert deduplicate(licensed, unlicensed)[0] == ["http://h/b"]


def test_small_differences_do_not_chain():
    text = words(3, 600)
    chain = [" ".join([*(f"new{place}" for place in range(step * 30)), *text[step * 30 :]]) for step in range(12)]
    kept, rejects = deduplicate(*(document(f"http://h/{step:02}", item) for step, item in enumerate(chain)))
    assert len(kept) >= 2
    by_id = {document(f"http://h/{step:02}", item).id: item for step, item in enumerate(chain)}
    for url, (_, kept_id) in rejects.items():
        assert jaccard(shingles(words_of(chain[int(url[-2:])])), shingles(words_of(by_id[kept_id]))) >= 0.5


def test_almost_equal_pages_with_different_titles_stay_apart():
    text = words(4)
    one = document("http://h/a", " ".join(text), title="Model X100")
    other = document("http://h/b", " ".join([*text[:200], "X200", *text[201:]]), title="Model X200")
    assert len(deduplicate(one, other)[0]) == 2


def test_different_texts_stay():
    assert len(deduplicate(*(document(f"http://h/{seed}", " ".join(words(seed))) for seed in range(20)))[0]) == 20


def test_the_order_of_the_input_does_not_matter():
    documents = [document(f"http://h/{number}", " ".join([*words(number % 3), f"x{number}"])) for number in range(9)]
    shuffled = list(documents)
    random.Random(5).shuffle(shuffled)
    assert deduplicate(*documents) == deduplicate(*shuffled)


def test_pairs_at_a_similarity_of_eight_tenths_are_proposed():
    found = 0
    for seed in range(40):
        text = words(seed, 500)
        changed = [*(f"n{place}" for place in range(50)), *text[50:]]
        keys = [band_keys(shingles(words_of(" ".join(item)))) for item in (text, changed)]
        found += band_pairs(np.stack([key for key in keys if key is not None])).tolist() == [[0, 1]]
    assert found == 40


@pytest.mark.skipif(not GOLD.is_dir(), reason="the licence texts are not beside the repository")
def test_licence_texts_that_are_almost_equal_do_not_merge():
    paths = [
        *sorted(GOLD.glob("BSD-*.txt")),
        *sorted(GOLD.glob("MIT*.txt")),
        *sorted(GOLD.glob("GPL-*.txt")),
        *sorted(GOLD.glob("CC-BY-*4.0.txt")),
    ]
    documents = [document(f"http://h/{path.stem}", path.read_text(encoding="utf-8", errors="replace"), title="License") for path in paths]
    _, rejects = deduplicate(*documents)
    assert {url: reason for url, (reason, _) in rejects.items() if reason == "near-duplicate"} == {}


def test_what_a_site_repeats_does_not_make_its_pages_one():
    menu = [" ".join(words(100 + number, 60)) for number in range(4)]

    def page(number: int) -> Document:
        texts = [*menu, " ".join(words(number, 100))]
        blocks = tuple(Block(number=place, kind="paragraph", text=text) for place, text in enumerate(texts))
        return Document(url=f"http://h/{number}", title="T", blocks=blocks, licence=ALLOWED)

    assert len(deduplicate(*(page(number) for number in range(8)))[0]) == 8
    assert len(deduplicate(*(page(number) for number in range(2)))[0]) == 1


def test_of_copies_about_equally_long_the_one_with_more_structure_stays():
    text = " ".join(words(9))
    flat = document("http://h/a", text)
    blocks = (Block(number=0, kind="heading", text=text[:40], level=1), Block(number=1, kind="paragraph", text=text[41:]))
    rich = Document(url="http://h/b", title="T", blocks=blocks, licence=ALLOWED)
    assert deduplicate(flat, rich)[0] == ["http://h/b"]


@pytest.mark.parametrize("words_more", ["", " and two more"])
def test_of_copies_about_equally_long_the_one_stated_to_be_earlier_stays(words_more: str):
    text = " ".join(words(10))
    late = document("http://h/a", text).model_copy(update={"published": "2024-03-01"})
    silent = document("http://h/b", text)
    early = document("http://h/c", text + words_more).model_copy(update={"modified": "2019-11-30T23:00:00+02:00"})
    assert deduplicate(late, silent, early)[0] == ["http://h/c"]
    assert deduplicate(late, silent)[0] == ["http://h/a"]


def test_neither_an_earlier_part_nor_an_earlier_copy_without_a_licence_is_kept_before_the_whole():
    text = words(11)
    whole = document("http://h/a", " ".join(text)).model_copy(update={"published": "2024-03-01"})
    part = document("http://h/b", " ".join(text[:200])).model_copy(update={"published": "2019-11-30"})
    unlicensed = document("http://h/c", " ".join(text), licence=UNKNOWN).model_copy(update={"published": "2019-11-30"})
    kept, rejects = deduplicate(whole, part, unlicensed)
    assert kept == ["http://h/a"]
    assert set(rejects) == {"http://h/b", "http://h/c"}


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.booleans(), st.sampled_from(["", "2020-01-01"])), min_size=1, max_size=12)
)
def test_whatever_repeats_whatever_each_document_is_kept_or_names_one_of_its_address_or_text(copies: list[tuple[int, int, bool, str]]):
    documents = {
        item.id: item
        for item in (
            document(f"http://h/{address}/{'index.html' if index else ''}", " ".join(words(text, 30))).model_copy(update={"published": day})
            for address, text, index, day in copies
        )
    }
    records = list(STAGE.run({"documents_scrubbed": [documents[name] for name in sorted(documents)]}, STAGE.params(), SimpleNamespace()))
    kept = {record.id: record for record in records if isinstance(record, Document)}
    rejects = {record.provenance.parents[0]: record for record in records if isinstance(record, Reject)}
    assert set(kept) | set(rejects) == set(documents)
    assert len(kept) + len(rejects) == len(records) == len(documents)
    assert len({url_key(item.url) for item in kept.values()}) == len({item.blocks for item in kept.values()}) == len(kept)
    for name, reject in rejects.items():
        one, other = documents[name], kept[reject.detail.split()[1].rstrip(":")]
        same = {"duplicate-url": url_key(one.url) == url_key(other.url), "duplicate-content": one.blocks == other.blocks}
        assert same[reject.reason]


def test_documents_without_a_word_are_never_one():
    assert len(deduplicate(*(document(f"http://h/{number}", "") for number in range(3)))[0]) == 3


def alike_texts() -> list[Document]:
    return [
        document("http://h/a", "cat sat on the mat"),
        document("http://h/b", "on a mat there sat some cat"),
        document("http://h/c", "interest rates rise"),
    ]


def by_letters(texts: list[str]) -> "np.ndarray[tuple[int, int], np.dtype[np.float32]]":
    return np.array([[float("cat" in text), float("rates" in text)] for text in texts], dtype=np.float32)


@pytest.mark.parametrize(("policy", "kept", "likenesses"), [("off", 3, 0), ("label", 3, 1), ("keep-one", 2, 0)])
def test_likeness_of_meaning_proposes_and_removes_only_when_told_to(
    policy: str, kept: int, likenesses: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("castalia.stages.deduplicate.meaning.load_plugin", lambda group, name: by_letters)
    params = STAGE.params(meaning=policy, embedder="letters")
    records = list(STAGE.run({"documents_scrubbed": alike_texts()}, params, SimpleNamespace()))
    assert sum(isinstance(record, Document) for record in records) == kept
    assert sum(isinstance(record, Likeness) for record in records) == likenesses
    assert {record.reason for record in records if isinstance(record, Reject)} == ({"same-meaning"} if policy == "keep-one" else set())
