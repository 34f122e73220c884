"""Prompts that ask almost the same are found exactly, with few comparisons."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from castalia.quality.alike import alike_pairs, asked, trigrams
from small_world import document, pair, replay, reward, said, sft

TEXTS = st.lists(st.lists(st.sampled_from(["one", "two", "three", "four", "five"]), max_size=9).map(" ".join), max_size=8)


@given(TEXTS, st.sampled_from([0.2, 0.5, 0.7, 0.9, 1.0]))
def test_all_pairs_as_alike_as_wanted_are_found_and_no_others(texts: list[str], near: float):
    grams = [trigrams(text) for text in texts]
    expected = {
        (a, b) for a, b in combinations(range(len(texts)), 2) if len(grams[a] & grams[b]) / len(grams[a] | grams[b]) >= near
    }  # fmt: skip
    assert set(alike_pairs(texts, near)) == expected


def test_case_and_spaces_make_no_difference_and_other_words_do():
    assert list(alike_pairs(["How long, green tea?", "how  long, GREEN tea?", "How long, black tea?"])) == [(0, 1)]


def test_what_is_asked_are_all_turns_of_the_user_in_any_dataset():
    assert asked(sft(conversation=said("How hot?", "Eighty."))) == "How hot?"
    assert [asked(record) for record in (pair(1), reward(1), replay(1))] == [
        "Green tea, pot 1: how long?", "Minutes for green tea in pot 1?", "dev question 1: how long does white tea steep?",
    ]  # fmt: skip
    with pytest.raises(TypeError, match="no training record"):
        asked(document())
