import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from castalia.web.urls import canonical_url, folder_of, same_site, url_key

GOLD = Path(__file__).parents[2] / "../shared/gold/url"

_PARTS = st.text(st.sampled_from("abAB01./%?&=#;:@ -_~é+"), max_size=20)
_HOSTS = st.sampled_from(["a.example", "www.b.co.uk", "[::1]"])
_PORTS = st.sampled_from(["", ":80", ":8080"])
_URLS = st.builds("http{}://{}{}/{}?{}#{}".format, st.sampled_from(["", "s"]), _HOSTS, _PORTS, _PARTS, _PARTS, _PARTS)


@settings(deadline=None)  # the first call loads the suffix list
@given(_URLS)
def test_canonical_urls_and_keys_are_idempotent(url: str):
    canonical = canonical_url(url)
    if canonical is not None:
        assert canonical_url(canonical) == canonical
        assert url_key(canonical) == url_key(url)


@given(st.text(max_size=60))
def test_any_text_is_either_an_http_url_or_none(text: str):
    canonical = canonical_url(text)
    assert canonical is None or canonical.startswith(("http://", "https://"))


@pytest.mark.parametrize(
    ("given_url", "expected"),
    [
        ("HTTP://Example.COM:80/a/../b#x", "http://example.com/b"),
        ("https://example.com:443", "https://example.com/"),
        ("http://example.com/?utm_source=x&id=7&fbclid=1", "http://example.com/?id=7"),
        ("http://example.com/a;jsessionid=AB12?PHPSESSID=0123456789abcdef", "http://example.com/a"),
        ("http://example.com/?sid=3", "http://example.com/?sid=3"),
        ("http://user:secret@example.com/", None),
        ("javascript:alert(1)", None),
        ("file:///etc/passwd", None),
        ("http://2130706433/", "http://127.0.0.1/"),
    ],
)
def test_one_spelling_is_fetched(given_url: str, expected: str | None):
    assert canonical_url(given_url) == expected


@pytest.mark.parametrize(
    "spelling",
    [
        "http://example.com/a/",
        "https://www.example.com/a",
        "http://example.com/a/index.html",
        "https://m.example.com/a/?amp=1",
        "http://example.com//a",
    ],
)
def test_spellings_of_one_page_share_a_key(spelling: str):
    assert url_key(spelling) == url_key("https://example.com/a")


def test_different_pages_have_different_keys():
    assert url_key("http://example.com/a?id=1") != url_key("http://example.com/a?id=2")
    assert url_key("http://docs.example.com/a") != url_key("http://example.com/a")


def test_a_site_is_a_registrable_domain():
    assert same_site("http://docs.example.co.uk/", "https://www.example.co.uk/x")
    assert not same_site("http://one.co.uk/", "http://other.co.uk/")
    assert not same_site("http://one.github.io/", "http://other.github.io/")
    assert not same_site("http://10.0.0.1/", "http://10.0.0.2/")


def test_the_folder_of_a_url_ends_with_a_slash():
    assert folder_of("http://h/doc/index.html?x=1") == "http://h/doc/"


@pytest.mark.skipif(not GOLD.is_dir(), reason="the URL cases are not beside the repository")
def test_the_cases_of_the_url_standard_are_parsed_as_written_there():
    cases = [case for case in json.loads((GOLD / "urltestdata.json").read_text()) if isinstance(case, dict)]
    wrong = []
    for case in cases:
        if (
            not str(case.get("href", "")).startswith(("http://", "https://"))
            or case.get("search")
            or case.get("username")
            or case.get("password")
        ):
            continue
        if ";" in case["href"]:
            continue
        got = canonical_url(case["input"], case["base"]) if case.get("base") else canonical_url(case["input"])
        if got != case["href"].split("#")[0].removesuffix("?"):
            wrong.append((case["input"], case["href"], got))
    assert wrong == []
