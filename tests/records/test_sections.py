from hypothesis import given
from hypothesis import strategies as st

from castalia.records import Block, Document, Evidence, LicenceDecision
from castalia.records.flaw import Flaw
from castalia.records.sections import blocks_of, cite, section_at, section_named, sections, show_blocks


def page(*blocks: Block) -> Document:
    return Document(
        url="https://example.org/a.html", title="A", blocks=blocks, licence=LicenceDecision(spdx="MIT", verdict="allowed", reason="given")
    )


def heading(number: int, level: int) -> Block:
    return Block(number=number, kind="heading", text="Title", level=level)


def words(number: int, count: int) -> Block:
    return Block(number=number, kind="paragraph", text="word " * count)


def test_a_short_document_is_one_section_named_by_url_and_blocks():
    [section] = sections(page(heading(0, 1), words(1, 10)), 100)
    assert section == ("example.org/a.html#0-1", 0, 1)


def test_a_long_document_is_cut_before_headings_of_level_two():
    document = page(heading(0, 1), words(1, 60), heading(2, 2), words(3, 60), heading(4, 3), words(5, 20))
    assert [(s.first, s.last) for s in sections(document, 100)] == [(0, 1), (2, 5)]


def test_a_piece_that_is_still_too_long_is_cut_at_deeper_headings():
    document = page(heading(0, 2), words(1, 60), heading(2, 3), words(3, 60))
    assert [(s.first, s.last) for s in sections(document, 100)] == [(0, 1), (2, 3)]


def test_small_neighbors_are_joined_again():
    document = page(*(block for n in range(0, 8, 2) for block in (heading(n, 2), words(n + 1, 40))))
    assert [(s.first, s.last) for s in sections(document, 100)] == [(0, 3), (4, 7)]


def test_a_document_without_words_has_no_section():
    assert sections(page(), 100) == []
    assert sections(page(Block(number=0, kind="image", text="")), 100) == []


@given(st.lists(st.one_of(st.integers(1, 6).map(lambda level: -level), st.integers(0, 300)), max_size=40), st.integers(50, 200))
def test_sections_cover_every_word_once_and_only_single_blocks_are_too_long(shape, max_words):
    document = page(*(heading(n, -size) if size < 0 else words(n, size) for n, size in enumerate(shape)))
    cut = sections(document, max_words)
    numbers = [n for section in cut for n in range(section.first, section.last + 1)]
    assert numbers == sorted(set(numbers))
    assert {n for n, block in enumerate(document.blocks) if block.text.strip()} <= set(numbers)
    for section in cut:
        assert section_named(document, section.subject) == section
        blocks = blocks_of(document, section)
        counted = [len(block.text.split()) for block in blocks]
        assert sum(counted) <= max_words or sum(count > 0 for count in counted) == 1


def test_a_name_of_another_document_or_beyond_its_end_is_no_section():
    document = page(words(0, 3), words(1, 3))
    assert section_named(document, "example.org/b.html#0-1") is None
    assert section_named(document, "example.org/a.html#0-2") is None
    assert section_named(document, "example.org/a.html") is None


def test_blocks_are_shown_with_number_kind_and_exact_text():
    blocks = (heading(3, 2), Block(number=4, kind="code", text="a\n  b", language="python"))
    assert show_blocks(blocks) == "[3] heading(2): Title\n\n[4] code(python):\na\n  b"


def test_a_citation_becomes_evidence_with_sorted_blocks():
    document = page(words(0, 3), Block(number=1, kind="paragraph", text="The default is str."))
    evidence = cite(document, section_at(document, 0, 1), [1, 0, 1], "default is str")
    assert evidence == Evidence(document=document.id, url=document.url, blocks=(0, 1), quote="default is str")


def test_citations_of_blocks_not_shown_and_wrong_quotes_are_flaws():
    document = page(words(0, 3), Block(number=1, kind="paragraph", text="The default is str."))
    section = section_at(document, 1, 1)
    assert cite(document, section, []) == Flaw("no-blocks-cited", "")
    for numbers in ([0], [2], [-1]):
        flaw = cite(document, section, numbers)
        assert isinstance(flaw, Flaw) and flaw.reason == "block-not-shown"
    flaw = cite(document, section, [1], "The default is  str")
    assert isinstance(flaw, Flaw) and flaw.reason == "quote-not-in-blocks"
