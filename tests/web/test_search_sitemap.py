import time

import pytest

from castalia.web.search.sitemap import read_sitemap, words_of
from castalia.web.worker import call_limited

NS = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'


def locations(text: str) -> list[str]:
    return read_sitemap(text)["locations"]


def test_addresses_of_pages_are_read_and_those_of_pictures_are_not():
    text = (
        f'<?xml version="1.0" encoding="UTF-8"?><urlset {NS} xmlns:image="http://www.google.com/schemas/sitemap-image/1.1"><url>'
        "<loc> http://h/a?x=1&amp;y=2 </loc><image:image><image:loc>http://h/a.png</image:loc></image:image></url>"
        "<url><loc><![CDATA[http://h/b]]></loc><lastmod>2026-01-01</lastmod></url></urlset>"
    )
    assert locations(text) == ["http://h/a?x=1&y=2", "http://h/b"]


def test_an_index_says_that_it_is_one():
    assert read_sitemap(f"<sitemapindex {NS}><sitemap><loc>http://h/1.xml</loc></sitemap></sitemapindex>") == {
        "locations": ["http://h/1.xml"],
        "is_index": True,
    }


def test_a_list_of_lines_is_a_sitemap_too():
    assert locations("http://h/a\n\nnot one\nhttps://h/b\n") == ["http://h/a", "https://h/b"]


def test_what_comes_before_the_damage_counts():
    assert locations("<urlset><url><loc>http://h/a</loc></url><url><loc>http://h/b") == ["http://h/a"]


@pytest.mark.parametrize(
    "text",
    [
        '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><urlset><url><loc>&b;</loc></url></urlset>',
        '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><urlset><url><loc>&f;</loc></url></urlset>',
        "<a>" * 100_000,
        "<urlset><url><loc>" + "x" * 1_000_000,
        "<urlset " + " ".join(f"a{number}='1'" for number in range(50_000)) + "/>",
    ],
    ids=["entities", "external", "deep", "long", "attributes"],
)
def test_hostile_xml_gives_nothing_and_takes_no_time(text: str):
    begun = time.monotonic()
    outcome = call_limited("castalia.web.search.sitemap:read_sitemap", text)
    assert outcome.problem == ""
    assert outcome.value["locations"] == []
    assert time.monotonic() - begun < 5


def test_a_file_has_so_many_addresses_at_most():
    text = "<urlset>" + "".join(f"<url><loc>http://h/{number}</loc></url>" for number in range(50_100)) + "</urlset>"
    assert len(locations(text)) == 50_000


def test_the_words_of_an_address():
    assert words_of("http://h/guide/tuning-queries.html?x=1").split() == ["guide", "tuning", "queries"]
