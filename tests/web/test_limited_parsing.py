import time

import pytest

from castalia.web import worker
from castalia.web.facts import read_facts
from castalia.web.prescan import prescan, start_tags
from castalia.web.worker import call_limited


@pytest.mark.parametrize(
    ("html", "problem"),
    [
        ("<div>" * 100_000, "too-deep"),
        ("<b><i>" * 60_000, "too-deep"),
        ("<p " + " ".join(f"a{number}=1" for number in range(200_000)) + ">x</p>", "attribute-flood"),
        ("<br>" * 500_000, "too-many-tags"),
        ("<" * 8_000_000, "too-many-tags"),
        ("x" * 9_000_000, "too-large"),
    ],
)
def test_hostile_shapes_are_seen_before_a_parser_runs(html: str, problem: str):
    started = time.monotonic()
    assert prescan(html).problem == problem
    assert time.monotonic() - started < 5


@pytest.mark.parametrize(
    "html", ["<a " * 100_000, '<a b="' * 50_000, "<!--" * 100_000, "<" * 300_000, "<script>" * 20_000, "<a =" * 100_000]
)
def test_broken_markup_is_scanned_in_linear_time(html: str):
    started = time.monotonic()
    prescan(html)
    assert time.monotonic() - started < 3


def test_start_tags_have_their_offsets_and_tags_in_comments_and_scripts_do_not_count():
    html = "<p>a<!-- <p> --><script>'<p>'</script><img alt='>'><p>b"
    assert [(tag.name, html[tag.offset : tag.offset + 2]) for tag in start_tags(html)] == [
        ("p", "<p"),
        ("script", "<s"),
        ("img", "<i"),
        ("p", "<p"),
    ]


def test_a_call_that_takes_too_long_is_killed_and_the_next_one_works():
    started = time.monotonic()
    assert call_limited("time:sleep", 30, seconds=0.5).problem == "parse-timeout"
    assert time.monotonic() - started < 10
    assert call_limited("castalia.web.facts:read_facts", "<title>T</title>").value["title"] == "T"


def test_a_call_that_takes_too_much_memory_is_a_problem_not_a_crash():
    outcome = call_limited("builtins:bytearray", 4_000_000_000)
    assert outcome.problem in ("parser-died", "parse-failed")


def test_a_call_that_raises_says_so():
    outcome = call_limited("builtins:int", "x")
    assert (outcome.problem, "ValueError" in outcome.detail) == ("parse-failed", True)


def test_facts_hold_links_metas_and_the_canonical_url():
    facts = read_facts('<title>T</title><link rel="canonical" href="/c"><meta name="Robots" content="noai"><a href="x.html">x</a><p>words')
    assert (facts["title"], facts["canonical"], facts["metas"]["robots"], facts["links"]) == ("T", "/c", "noai", ["x.html"])


def test_a_worker_that_ended_while_idle_costs_no_page():
    assert call_limited("json:loads", "[1]").value == [1]
    first = worker._local.child.process
    first.kill()
    assert call_limited("json:loads", "[2]").value == [2]
    assert worker._local.child.process.pid != first.pid
