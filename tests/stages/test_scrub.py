from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castalia.records import Block, Document, LicenceDecision
from castalia.stages.scrub import STAGE
from castalia.stages.scrub.scrub import Pseudonyms, scrub_text
from castalia.web.pii import find_personal_data

LICENCE = LicenceDecision(spdx="MIT", verdict="allowed", reason="by file")


def scrub(*blocks: Block) -> Document:
    document = Document(url="http://h/x", title="T", blocks=blocks, licence=LICENCE)
    (record,) = STAGE.run(document, STAGE.params())
    return record


def paragraph(text: str) -> str:
    return scrub(Block(number=0, kind="paragraph", text=text)).blocks[0].text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write to ann.lee@gmail.com today.", "Write to [EMAIL_1] today."),
        ("Call +49 30 901820 or (212) 736-5000.", "Call [PHONE_1] or [PHONE_2]."),
        ("Card 4539 5787 6362 1486 was used.", "Card [CARD_1] was used."),
        ("IBAN NL91 ABNA 0417 1643 00 please", "IBAN [IBAN_1] please"),
        ("Requests from 93.184.215.14 failed.", "Requests from [IP_1] failed."),
        ("Host 2a00:1450:4001:81b::200e answers", "Host [IP_1] answers"),
        ("Her SSN is 536-22-1234.", "Her SSN is [ID_1]."),
        ("CPF 529.982.247-25", "CPF [ID_1]"),
        ("HETU 131052-308T", "HETU [ID_1]"),
        ("DNI 12345678-Z", "DNI [ID_1]"),
        ("codice RSSMRA85T10A562S", "codice [ID_1]"),
        ("id 11010519491231002X", "id [ID_1]"),
    ],
)
def test_personal_data_becomes_a_pseudonym(text: str, expected: str):
    assert paragraph(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Mako 1.4.3 needs Python 3.11.9.1 and version 10.20.30.40.",
        "Write to user@example.com, root@localhost, you@host.example or git@github.com.",
        "Use @decorator and a@b, x@2x.png",
        "Bind 127.0.0.1, 0.0.0.0, 10.1.2.3, 192.0.2.7 or 8.8.8.8; mask 255.255.255.0",
        "Namespaces such as std::vec::Vec and dead::beef, time 12:30:45",
        "The number 4539 5787 6362 1487 fails the check, 4111 1111 1111 1111 is for tests.",
        "ISBN 978-3-16-148410-0, commit 0123456789abcdef, port 5432, 1234567890",
        "Dates 2024-01-02, 12-34-5678, ranges 100-200 and 555-0123",
        "IBAN DE00 1234 5678 9012 3456 78 is wrong",
    ],
)
def test_what_technical_texts_are_full_of_stays(text: str):
    assert paragraph(text) == text


def test_one_value_has_one_pseudonym_and_every_span_counts():
    document = scrub(
        Block(number=0, kind="paragraph", text="ann@corp.io and bob@corp.io"),
        Block(number=1, kind="table", text="| Bob@corp.io |", rows=(("Bob@corp.io",),)),
    )
    assert [block.text for block in document.blocks] == ["[EMAIL_1] and [EMAIL_2]", "| [EMAIL_2] |"]
    assert document.blocks[1].rows == (("[EMAIL_2]",),)
    assert document.redactions == 3
    assert "corp.io" not in document.model_dump_json()


def test_code_stays_unless_a_check_digit_is_certain():
    code = 'send("ann@corp.io", "+49 30 901820", card="4539578763621486")'
    document = scrub(Block(number=0, kind="code", text=code), Block(number=1, kind="paragraph", text="Use `ann@corp.io` there."))
    assert document.blocks[0].text == 'send("ann@corp.io", "+49 30 901820", card="[CARD_1]")'
    assert document.blocks[1].text == "Use `ann@corp.io` there."


def test_fenced_code_in_running_text_counts_as_code():
    text = "Set it so:\n\n```ini\nmail = ann@corp.io\n```\n\nor write to bob@corp.io."
    assert [span.value for span in find_personal_data(text)] == ["bob@corp.io"]


def test_a_document_without_personal_data_stays_itself():
    document = Document(url="http://h/x", title="T", blocks=(Block(number=0, kind="paragraph", text="Nothing here."),), licence=LICENCE)
    assert list(STAGE.run(document, STAGE.params())) == [document]


@given(st.text(st.sampled_from("ab1234567890.@:-+() [_]EMAILX`"), max_size=80))
def test_spans_never_overlap_and_everything_around_them_stays(text: str):
    spans = find_personal_data(text)
    assert all(one.end <= other.start for one, other in pairwise(spans))
    scrubbed, rest = scrub_text(text, Pseudonyms()), text
    for span in reversed([span for span in spans if span.value not in scrubbed]):
        rest = rest[: span.start] + rest[span.end :]
    assert not spans or len(scrubbed) >= len(rest)
