import gc

import numpy as np
import pytest

from castalia.web.extract import extract
from castalia.web.extract.model import _product
from castalia.web.extract.offsets import source_offsets
from castalia.web.extract.tree import parse
from castalia.web.prescan import prescan
from castalia.web.tags import Tags, find_tags, short_names


def _tags(html: str) -> Tags:
    tags = find_tags(html, most=1_000)
    assert tags is not None
    return tags


def test_tags_stand_where_the_source_has_them_whatever_letters_come_before():
    html = "é😀<P class=x>\u0130</p/><blockquote\n><p"
    tags = _tags(html)
    assert [html[start] for start in tags.starts] == ["<"] * 4
    assert tags.named("p").tolist() == [True, True, False, False]  # the source ends inside the last one
    assert tags.named("blockquote").tolist() == [False, False, True, False]
    assert tags.closing.tolist() == [False, True, False, False]


def test_a_longer_name_is_not_taken_for_the_short_one_that_it_begins_with():
    tags = _tags("<br><brr><optgroup><optgroups>")
    assert tags.short(short_names(["br", "optgroup"])).tolist() == [True, False, True, False]
    assert prescan("<optgroups>" * 1_000).problem == "too-deep"


def test_more_tags_than_are_wanted_are_not_told():
    assert find_tags("<a>" * 11, most=10) is None
    assert find_tags("<a>" * 10, most=10) is not None


def test_offsets_pass_over_comments_and_scripts():
    html = "<body>ü<!-- <p> --><SCRIPT>'<p>'</SCRIPT ><p>one<p>two<style><p></style>"
    offsets = source_offsets(_tags(html), ["p", "div"], parse(html).counts)
    assert offsets == {"p": [html.index("<p>one"), html.index("<p>two")]}


def test_nothing_is_said_about_tags_that_the_parser_added():
    html = "<table><tr><td>a</table></p>"
    assert source_offsets(_tags(html), ["p"], parse(html).counts) == {}


@pytest.mark.parametrize("enabled", [True, False])
def test_the_garbage_collector_is_left_as_it_was(enabled: bool):
    was_enabled = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        extract("<h1>Title</h1><p>Some words.")
        assert gc.isenabled() == enabled
    finally:
        (gc.enable if was_enabled else gc.disable)()


def test_products_in_parts_are_the_whole_product():
    random_numbers = np.random.default_rng(0)
    for rows in (0, 1, 64, 65, 200):
        left = random_numbers.standard_normal((rows, 7)).astype(np.float32)
        right = random_numbers.standard_normal((7, 3)).astype(np.float32)
        assert np.allclose(_product(left, right), left @ right, atol=1e-5)
