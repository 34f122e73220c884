import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from castalia.stages.deduplicate.candidates import band_pairs, merged, probe_pairs, probes_of
from castalia.stages.deduplicate.minhash import BANDS, band_keys
from castalia.stages.deduplicate.shelf import Shelf
from castalia.stages.deduplicate.verify import Text, Thresholds, are_one, is_legal, same_title
from castalia.stages.deduplicate.words import CAPITAL, DIGIT, TURNING, jaccard, overlap, shingles, swaps, words_of

USUAL = Thresholds(0.5, 0.7)


def prose(seed: int, count: int) -> list[str]:
    source = random.Random(seed)
    return [f"word{chr(97 + source.randrange(26))}{chr(97 + source.randrange(26))}{chr(97 + source.randrange(26))}" for _ in range(count)]


def one(first: list[str], second: list[str], *, legal: bool = False) -> bool:
    return are_one(Text(words_of(" ".join(first)), "", legal), Text(words_of(" ".join(second)), "", False), USUAL) > 0


def test_a_text_that_lacks_passages_of_another_is_the_same():
    text = prose(1, 400)
    assert one(text, text[100:250])
    assert one(text, [*text[:60], *text[200:260]])


def test_a_text_that_shares_a_quotation_only_is_not():
    quoted = prose(2, 60)
    assert not one([*prose(3, 300), *quoted], [*prose(4, 300), *quoted])


def test_a_few_words_are_no_part_of_anything():
    text = prose(5, 300)
    assert not one(text, text[10:20])


def test_pages_filled_in_from_one_template_stay_apart():
    def product(number: int, place: str) -> list[str]:
        text = prose(6, 300)
        for position, value in (
            (20, f"{number}"),
            (80, f"{number * 3}"),
            (120, place),
            (170, f"{number + 7}"),
            (230, place),
            (280, f"{number}9"),
        ):
            text[position] = value
        return text

    assert not one(product(100, "Berlin"), product(200, "Lisbon"))


def test_a_counter_and_a_date_do_not_tell_copies_apart():
    first, second = prose(7, 300), prose(7, 300)
    first[50], second[50], first[200], second[200] = "17", "18", "3rd", "4th"
    assert one(first, second)


def test_a_not_tells_statements_apart():
    first, second = prose(8, 300), prose(8, 300)
    first[150], second[150] = "must", "may"
    assert not one(first, second)


def test_terms_of_law_make_every_word_count():
    grant = (
        "Permission is hereby granted to use, copy, modify and distribute this software with or without fee, provided that the above "
        "copyright notice and this permission notice appear in all copies. The software is provided as is and the author disclaims all warranties."
    )
    assert is_legal(grant)
    first, second = grant.split(), [*grant.split(), *["No", "rights", "are", "granted", "to", "the", "name", "of", "the", "author"]]
    assert not one(first, second, legal=True)
    assert one(first, list(first), legal=True)


def test_a_page_that_mentions_its_licence_is_not_legal():
    assert not is_legal(" ".join(prose(9, 200)) + " Copyright 2024, licensed under MIT.")


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("Caching - Docs", "Caching | Mirror", True),
        ("Caching", "Caching - The Docs", True),
        ("", "Caching", True),
        ("Model X100 - Shop", "Model X200 - Shop", False),
        ("Install", "Upgrade", False),
    ],
)
def test_titles_are_compared_without_the_name_of_their_site(first: str, second: str, same: bool):
    assert same_title(first, second) is same


def test_swapped_words_are_told_by_what_they_change():
    found = swaps(words_of("a b c d 5 e f g h Bob i j k l must m n o p"), words_of("a b c d 6 e f g h Ann i j k l may m n o p"))
    assert sorted(found.tolist()) == sorted([int(DIGIT), int(CAPITAL), int(TURNING)])


def test_words_fold_case_and_keep_scripts_without_spaces_apart():
    assert jaccard(shingles(words_of("One Two three four five")), shingles(words_of("one two THREE four five"))) == 1.0
    assert len(words_of("日本語のテキスト")) == 8


TEXTS = st.lists(st.sampled_from("abcdefgh"), max_size=40).map(" ".join)


@given(TEXTS, TEXTS)
def test_similarity_is_that_of_the_sets_and_the_same_both_ways(first: str, second: str):
    def sets(text: str) -> set[tuple[str, ...]]:
        words = text.split()
        return {tuple(words[place : place + 5]) for place in range(max(1, len(words) - 4))} if words else set()

    one_set, other_set = sets(first), sets(second)
    expected = len(one_set & other_set) / len(one_set | other_set) if one_set | other_set else 0.0
    left, right = shingles(words_of(first)), shingles(words_of(second))
    assert jaccard(left, right) == pytest.approx(expected) == jaccard(right, left)
    assert overlap(left, right) == len(one_set & other_set)


def test_a_part_a_tenth_as_long_is_proposed_although_no_band_agrees():
    texts = [prose(10, 3000), prose(10, 3000)[500:800], prose(11, 300)]
    hashes = [shingles(words_of(" ".join(text))) for text in texts]
    keys = np.stack([band if (band := band_keys(item)) is not None else np.zeros(BANDS, dtype=np.uint64) for item in hashes])
    assert band_pairs(keys).tolist() == []
    pairs = probe_pairs(np.stack([probes_of(item) for item in hashes]), iter(hashes))
    assert pairs.tolist() == [[0, 1]]
    assert merged(pairs, pairs).tolist() == [[0, 1]]


def test_a_bucket_that_many_share_pairs_all_with_the_first_ones_only():
    keys = np.zeros((200, BANDS), dtype=np.uint64)
    keys[:, 0] = 7
    pairs = band_pairs(keys)
    assert len(pairs) == sum(199 - leader for leader in range(8))
    assert set(pairs[:, 0].tolist()) == set(range(8))


def test_texts_on_the_shelf_come_back_whatever_the_order_in_which_they_were_put():
    nothing = Text(words_of(""), "", legal=False)
    texts = {
        3: nothing,
        0: Text(words_of("one two"), "Über \udc80", legal=True),
        1: Text(words_of("x"), "x", legal=False),
    }
    with Shelf(4) as shelf:
        for number, text in texts.items():
            shelf.put(number, text)
        for number, text in [*texts.items(), (2, nothing)]:
            assert (shelf[number].words.tolist(), *shelf[number][1:]) == (text.words.tolist(), *text[1:])
