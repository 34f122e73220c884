import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castalia.errors import ConfigError
from castalia.records import Block, Document, LicenceDecision, Redaction, Reject
from castalia.stages.scrub import STAGE
from castalia.stages.scrub.known import Known
from castalia.stages.scrub.pseudonyms import Pseudonyms, Style
from castalia.stages.scrub.scrub import MOST_VALUES, scrub_text
from castalia.web.pii import Span, find_personal_data
from cpu_time import cpu_seconds

LICENCE = LicenceDecision(spdx="MIT", verdict="allowed", reason="by file")


def scrub(*blocks: Block) -> Document:
    document = Document(url="http://h/x", title="T", blocks=blocks, licence=LICENCE)
    return scrubbed(document)[0]


def scrubbed(document: Document, **params: object) -> tuple[Document, list[Redaction]]:
    first, *redactions = STAGE.run(document, STAGE.params(**params))
    assert isinstance(first, Document)
    return first, redactions


def paragraph(text: str) -> str:
    document = Document(url="http://h/x", title="T", blocks=(Block(number=0, kind="paragraph", text=text),), licence=LICENCE)
    return scrubbed(document, pseudonyms="marked")[0].blocks[0].text


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
    assert [block.text for block in document.blocks] == ["person1@example.com and person2@example.com", "| person2@example.com |"]
    assert document.blocks[1].rows == (("person2@example.com",),)
    assert document.redactions == 3
    assert "corp.io" not in document.model_dump_json()


def test_code_stays_unless_a_check_digit_is_certain():
    code = 'send("ann@corp.io", "+49 30 901820", card="4539578763621486")'
    document = scrub(Block(number=0, kind="code", text=code), Block(number=1, kind="paragraph", text="Use `ann@corp.io` there."))
    assert document.blocks[0].text == 'send("ann@corp.io", "+49 30 901820", card="0000000000000001")'
    assert document.blocks[1].text == "Use `ann@corp.io` there."


def test_fenced_code_in_running_text_counts_as_code():
    text = "Set it so:\n\n```ini\nmail = ann@corp.io\n```\n\nor write to bob@corp.io."
    assert [span.value for span in find_personal_data(text)] == ["bob@corp.io"]


def test_a_document_without_personal_data_stays_itself():
    document = Document(url="http://h/x", title="T", blocks=(Block(number=0, kind="paragraph", text="Nothing here."),), licence=LICENCE)
    assert list(STAGE.run(document, STAGE.params())) == [document]


TEXTS = st.text(st.sampled_from("ab1234567890.@:-+() [_]EMAILX`\n日é"), max_size=80)
DENSE = st.lists(
    st.sampled_from(
        [
            "ann@corp.io",
            "+49 30 901820",
            "call 73 448 266",
            "4539578763621486",
            "93.184.215.14",
            "NL91 ABNA 0417 1643 00",
            "536-22-1234",
            "日本",
            "é",
            " ",
        ]
    ),
    max_size=8,
).map(" ".join)


@given(st.one_of(TEXTS, DENSE), st.sampled_from(["plausible", "marked"]))
def test_a_scrubbed_text_has_nothing_left_to_scrub(text: str, style: Style):
    once, _ = scrub_text(text, Pseudonyms(style, lambda name: name in text))
    assert find_personal_data(once) == []


@given(st.one_of(TEXTS, DENSE))
def test_the_log_points_at_the_pseudonyms(text: str):
    once, replaced = scrub_text(text, Pseudonyms())
    assert all(once[item.start : item.end] == item.pseudonym for item in replaced)
    assert all(one.end <= other.start for one, other in pairwise(replaced))


VALUES = st.lists(st.text(st.sampled_from("a1+.(@ "), min_size=1, max_size=5).filter(lambda text: re.search(r"\w", text)), max_size=4)


@given(VALUES, st.text(st.sampled_from("a1+.(@ \n"), max_size=40))
def test_known_values_are_found_wherever_they_stand_by_themselves(values: list[str], text: str):
    naive = {(found.start(), value) for value in values for found in re.finditer(rf"(?<!\w)(?={re.escape(value)}(?!\w))", text)}
    known = Known([Span(0, len(value), "EMAIL", value, certain=False) for value in values])
    assert {(span.start, span.value) for span in known.within(text)} == naive
    assert all(text[span.start : span.end] == span.value for span in known.within(text))


def test_a_page_full_of_addresses_takes_time_in_proportion_to_its_length():
    def scrub(count: int) -> None:
        blocks = (Block(number=0, kind="paragraph", text="\n".join(f"user{number}@corp{number}.io" for number in range(count))),)
        assert len(scrubbed(Document(url="http://h/x", title="T", blocks=blocks, licence=LICENCE))[1]) == count

    assert cpu_seconds(lambda: scrub(1_600)) < 10 * cpu_seconds(lambda: scrub(400))  # 16 times if each were held against each


def test_a_page_that_is_a_list_of_people_is_a_reject_that_says_so():
    blocks = tuple(Block(number=number, kind="paragraph", text=f"user{number}@corp.io") for number in range(MOST_VALUES + 1))
    (found,) = STAGE.run(Document(url="http://h/x", title="T", blocks=blocks, licence=LICENCE), STAGE.params())
    assert isinstance(found, Reject)
    assert (found.reason, found.subject) == ("personal-data-flood", "http://h/x")
    assert "user" not in found.detail


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write to ann@corp.io.", "Write to person1@example.com."),
        ("Call +49 30 901820 or (212) 736-5000.", "Call +1 201-555-0101 or 201-555-0102."),
        ("From 93.184.215.14 or 2a00:1450:4001:81b::200e", "From 192.0.2.1 or 2001:db8::2"),
        ("Card 4539 5787 6362 1486", "Card 0000 0000 0000 0001"),
        ("SSN 536-22-1234", "SSN 000-00-0001"),
        ("codice RSSMRA85T10A562S", "codice XXXXXX00X00X001X"),
        ("token ghp_aB3dE5fG7hJ9kL1mN2pQ4rS6tU8vW0xY1zA2", "token [SECRET_1]"),
    ],
)
def test_a_pseudonym_has_the_form_of_its_value_and_leads_to_nobody(text: str, expected: str):
    assert scrub(Block(number=0, kind="paragraph", text=text)).blocks[0].text == expected


def test_a_pseudonym_never_repeats_what_the_document_says_of_another():
    document = scrub(Block(number=0, kind="paragraph", text="person1@example.com is made up, ann@corp.io is not"))
    assert document.blocks[0].text == "person1@example.com is made up, person2@example.com is not"


def test_what_a_word_gave_away_once_is_replaced_everywhere():
    first = Block(number=0, kind="paragraph", text="Phone: 73 448 266")
    table = Block(number=1, kind="table", text="| Ann | 73 448 266 |", rows=(("Ann", "73 448 266"),))
    document = scrub(first, table)
    assert document.blocks[1].rows == (("Ann", "201-555-0101"),)
    assert "448" not in document.model_dump_json()


def test_every_replacement_is_logged_without_its_value():
    document = Document(
        url="http://h/x",
        title="ann@corp.io",
        blocks=(Block(number=0, kind="paragraph", text="é ann@corp.io +49 30 901820"),),
        licence=LICENCE,
    )
    after, redactions = scrubbed(document)
    assert [(item.block, item.kind, item.start) for item in redactions] == [(-1, "EMAIL", 0), (0, "EMAIL", 2), (0, "PHONE", 22)]
    texts = {-1: after.title, 0: after.blocks[0].text}
    assert all(texts[item.block][item.start : item.end] == item.pseudonym and item.document == after.id for item in redactions)
    assert not any(value in item.model_dump_json() for item in redactions for value in ("corp", "901820"))


def test_an_installed_detector_adds_what_has_no_form(monkeypatch: pytest.MonkeyPatch):
    def names(text: str) -> list[Span]:
        return [Span(found.start(), found.end(), "PERSON", found[0], False, rule="names") for found in re.finditer("Ann Lee", text)]

    monkeypatch.setattr("castalia.stages.scrub.scrub.load_plugin", lambda group, name: names)
    monkeypatch.setattr("castalia.stages.scrub.scrub.plugin_identity", lambda group, name: "names 1")
    block = Block(number=0, kind="paragraph", text="Ann Lee <Ann Lee@corp.io>, `Ann Lee`, Ann Lee")
    document = Document(url="http://h/x", title="T", blocks=(block,), licence=LICENCE)
    after, redactions = scrubbed(document, detectors=("names",))
    assert after.blocks[0].text == "[PERSON_1] <Ann person1@example.com>, `Ann Lee`, [PERSON_1]"
    assert [item.rule for item in redactions] == ["names", "form", "names"]


def test_a_detector_that_is_not_installed_stops_before_anything_is_fetched():
    with pytest.raises(ConfigError, match=r"no plug-in 'gliner' in group 'castalia\.detectors'"):
        STAGE.params(detectors=("gliner",))
