from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from castalia.web.pii import KINDS, find_personal_data
from castalia.web.pii.windows import windows
from cpu_time import cpu_seconds

MAKO = "Version 1.4.3, released 2024-01-02, needs Python >= 3.8.0.1 (build 20230517-1234567)"


def found(text: str, **options: bool) -> list[tuple[str, str]]:
    return [(span.kind, span.value) for span in find_personal_data(text, kinds=KINDS, **options)]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("Tel. 01 23 45 67 89 le matin", "PHONE", "01 23 45 67 89"),
        ("You can call 73 448 266", "PHONE", "73 448 266"),
        ("089 72 63 41 office", "PHONE", "089 72 63 41"),
        ("| Fax | (978)645-9740x11144 |", "PHONE", "(978)645-9740x11144"),
        ("Tel: +49 (0)9546-9223-20 oder", "PHONE", "+49 (0)9546-9223-20"),
        ("mail 山田@例え.jp now", "EMAIL", "山田@例え.jp"),
        ("show@no-priors.com.Sarah is", "EMAIL", "show@no-priors.com"),
        ("IBAN DE44 5001 0517 5407 3249 31 ist", "IBAN", "DE44 5001 0517 5407 3249 31"),
        ("my iban is gb50mvfc38361978683032", "IBAN", "gb50mvfc38361978683032"),
        ("My driver's license number is A125325867", "LICENSE", "A125325867"),
        ("Traveler, passport no. X1234567.", "PASSPORT", "X1234567"),
        ("She was born on 6/4/1967 in", "BIRTH_DATE", "6/4/1967"),
        ("DOB: 12 March 1980;", "BIRTH_DATE", "12 March 1980"),
        ("AA:1B:2C:3D:4E:5F is up", "MAC", "AA:1B:2C:3D:4E:5F"),
        ("NINO AB123456C", "ID", "AB123456C"),
        ("Aadhaar 2341 2341 2346", "ID", "2341 2341 2346"),
        ("Steuer-ID 86 095 742 719", "ID", "86 095 742 719"),
        ("BSN 111222333", "ID", "111222333"),
        ("PESEL 44051401359", "ID", "44051401359"),
        ("Personnummer 811218-9876", "ID", "811218-9876"),
        ("CURP HEGG560427MVZRRL04", "ID", "HEGG560427MVZRRL04"),
        ("NHS number 943 476 5919", "ID", "943 476 5919"),
        ("PAN ABCPE1234F", "ID", "ABCPE1234F"),
        ("USt-IdNr. DE136695976", "ID", "DE136695976"),
        ("send 1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2 now", "WALLET", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2"),
        ("bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq", "WALLET", "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq"),
        ("key AKIAIOSFODNN7A4KDJQR", "SECRET", "AKIAIOSFODNN7A4KDJQR"),
        ("see https://a.example.org/x?y=1.", "URL", "https://a.example.org/x?y=1"),
    ],
)
def test_a_form_with_its_validator_or_cue_is_found(text: str, kind: str, value: str):
    assert (kind, value) in found(text)


@pytest.mark.parametrize(
    "text",
    [
        MAKO,
        "doi:10.1145/3292500.3330701, ISBN 978-3-16-148410-0, ISSN 2049-3630, arXiv 2301.00234",
        "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0bb822cd15d6c15b0f00a08",
        "Trace id 550e8400-e29b-41d4-a716-446655440000 at 12:30:45.123456",
        "Part number: 555-123-4567-A, order 112-34-5678-9, invoice 4006381333931",
        "coordinates 48.858370, 2.294481; lines 120-180; 1,234,567 rows; 100 000 000 users",
        "Sequence 1234 5678 90 is not a card, 1234567890123456 neither",
        "namespaces like std::vector, dead::beef, a::b::c and 10:20:30",
        "call foo(123456) on line 1234567, call 2024-01-02 or 1.2.3.4",
        "0123456789abcdef0123456789abcdef01234567 0xdeadbeef00112233",
        "Bad SSN 123-45-67890, 000-12-3456 and 666-12-9999",
        "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20",
        "@decorator a@b x@2x.png user@host.py @alone",
        "Passport control opens in 2024; a licence of 2019-2021",
        "ISBN-13: 9783161484100, EAN 4006381333931, timestamp 1700000000",
    ],
)
def test_what_only_looks_like_it_is_left(text: str):
    assert found(text) == []


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("user@example.com", "EMAIL"),
        ("noreply@corp.io", "EMAIL"),
        ("Card 4111 1111 1111 1111", "CARD"),
        ("192.168.1.10", "IP"),
        ("fe80::1ff:fe23:4567:890a", "IP"),
        ("SSN 078-05-1120", "ID"),
        ("call 212-555-0123", "PHONE"),
        ("AKIAIOSFODNN7EXAMPLE", "SECRET"),
    ],
)
def test_values_that_lead_to_nobody_are_found_on_request_only(text: str, kind: str):
    assert found(text) == []
    assert [name for name, _ in found(text, reserved=True)] == [kind]


def test_in_code_only_what_is_certain_counts():
    code = "phone = '+49 30 901820'\nid = 4539578763621486\ncard = '4539 5787 6362 1486'\n# ann@corp.io, 93.184.215.14\n"
    assert found(code, code=True) == [("CARD", "4539 5787 6362 1486")]


@given(
    st.lists(
        st.sampled_from(["ann@corp.io", "日本語", "é", " ", "x", "+49 30 901820", "🙂", "\ud800", "4539578763621486", "\n"]), max_size=12
    ).map("".join)
)
def test_offsets_count_characters_whatever_the_script(text: str):
    assert all(text[span.start : span.end] == span.value for span in find_personal_data(text, reserved=True))
    assert all(0 <= window.start < window.end <= len(text) for window in windows(text))


PARTS = st.lists(
    st.sampled_from([*"ab 1234567890.@:-+()/é\n", "ann@corp.io", "call ", "SSN 536-22-1234", "born on ", "passport "]), max_size=40
).map("".join)


@given(PARTS, PARTS)
def test_paragraphs_read_alone_or_together_give_the_same(one: str, other: str):
    one, other = one.strip("\n") + "\n\n", "\n" + other.strip("\n")
    together = find_personal_data(one + other)
    apart = find_personal_data(one) + [
        span._replace(start=span.start + len(one), end=span.end + len(one)) for span in find_personal_data(other)
    ]
    assert together == apart


NUMBERS = ("HEGG560427MVZRRL04", "RSSMRA85T10A562S", "131052-308T", "123.456.789-09", "11010519491231002X", "+1 415 555 2671", "8.8.8.8")


@given(st.sampled_from(NUMBERS), st.integers(0, 20), st.sampled_from("٣²①９०߀𝟗ⅷſKİß\ud800"))
@example("HEGG560427MVZRRL04", 4, "𝟗")
def test_digits_and_letters_of_other_scripts_break_nothing(number: str, place: int, odd: str):
    text = f"{number[:place]}{odd}{number[place + 1 :]} {number}"
    assert [span.value for span in find_personal_data(text, reserved=True) if span.start > len(number)] == [
        span.value for span in find_personal_data(f" {number}", reserved=True)
    ]


@pytest.mark.parametrize(
    "unit",
    [
        "1",
        "1 ",
        "1-",
        "a@",
        "a.",
        ":",
        "1:",
        "+1",
        "(1)",
        "`a",
        "``",
        "a1",
        "call 1",
        "passport ",
        "A" * 31 + "@",
        "eyJ",
        "0x",
        "é1",
        "-1.1/",
        "1234 5678 ",
    ],
)
def test_no_repetition_makes_it_slow(unit: str):
    small, large = ((unit * size)[:size] for size in (20_000, 80_000))
    limit = max(0.5, 10 * cpu_seconds(lambda: find_personal_data(small)))  # 16 times as long if each place were held against each
    assert cpu_seconds(lambda: find_personal_data(large)) < limit


@pytest.mark.skipif(not (Path(__file__).parents[2] / "../shared/gold/code").is_dir(), reason="the code sets are not beside the repository")
def test_programs_without_personal_data_stay_as_they_are():
    path = Path(__file__).parents[2] / "../shared/gold/code/mbpp_first500.jsonl"
    assert [line for line in path.read_text(encoding="utf-8").splitlines() if find_personal_data(line, code=True)] == []
