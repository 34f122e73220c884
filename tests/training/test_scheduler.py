from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from castalia.training.scheduler import Item, Schedule

items = st.lists(
    st.builds(
        Item,
        category=st.sampled_from(["knowledge", "skills", "procedural"]),
        difficulty=st.sampled_from(["easy", "medium", "hard"]),
        length=st.integers(1, 200),
    ),
    min_size=1,
    max_size=40,
).map(tuple)
orders = st.sampled_from(["random", "curriculum"])


@given(items, st.integers(1, 9), st.integers(1, 3), st.integers(0, 5), orders, st.integers(1, 5))
@settings(max_examples=60, deadline=None)
def test_the_run_passes_over_every_item_once_per_epoch(given_items, batch, epochs, seed, order, window):
    schedule = Schedule(given_items, batch_size=batch, epochs=epochs, seed=seed, order=order, window=window)
    seen = Counter(index for step in range(schedule.steps) for index in schedule.batch(step))
    surplus = schedule.steps * batch - epochs * len(given_items)
    assert 0 <= surplus < batch
    assert all(seen[index] >= epochs for index in range(len(given_items)))
    assert sum(seen.values()) == epochs * len(given_items) + surplus


@given(items, st.integers(1, 6), st.integers(0, 5), orders, st.integers(0, 11))
@settings(max_examples=60, deadline=None)
def test_a_batch_depends_on_seed_and_step_only(given_items, batch, seed, order, step):
    first = Schedule(given_items, batch_size=batch, epochs=3, seed=seed, order=order)
    later = Schedule(given_items, batch_size=batch, epochs=3, seed=seed, order=order)
    step %= first.steps
    for earlier_step in range(step):
        first.batch(earlier_step)
    assert first.batch(step) == later.batch(step)


@given(items, st.integers(1, 6), st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_matching_lengths_moves_items_only_within_a_window(given_items, batch, window):
    plain = Schedule(given_items, batch_size=batch, epochs=2, window=1)
    matched = Schedule(given_items, batch_size=batch, epochs=2, window=window)
    steps = range(min(window, plain.steps))
    both = [sorted(i for step in steps for i in s.batch(step)) for s in (plain, matched)]
    assert both[0] == both[1]


@given(st.lists(st.sampled_from(["knowledge", "skills", "procedural"]), min_size=1, max_size=60), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_any_prefix_of_an_epoch_holds_categories_in_proportion(categories, seed):
    order = Schedule(tuple(Item(c) for c in categories), batch_size=1, epochs=1, seed=seed).epoch(0)
    for end in range(1, len(order) + 1):
        for category in set(categories):
            share = sum(categories[index] == category for index in order[:end])
            assert abs(share - end * categories.count(category) / len(categories)) <= len(set(categories))


def test_two_ranks_taking_turns_see_the_batch_of_one_rank():
    schedule = Schedule(tuple(Item("skills", length=n) for n in range(12)), batch_size=4, epochs=1)
    whole = schedule.batch(1)
    assert sorted(whole[0::2] + whole[1::2]) == sorted(whole)
    assert len(set(whole)) == 4


def test_curriculum_starts_easy_and_the_control_does_not_care():
    given_items = tuple(Item("skills", d) for d in ["hard"] * 10 + ["easy"] * 10)
    curriculum = Schedule(given_items, batch_size=5, epochs=2, order="curriculum")
    assert all(index >= 10 for index in curriculum.epoch(0)[:10])
    mixed = curriculum.epoch(1)[:10]
    assert 0 < sum(index >= 10 for index in mixed) < 10
    control = Schedule(given_items, batch_size=5, epochs=2).epoch(0)[:10]
    assert 0 < sum(index >= 10 for index in control) < 10


def test_weight_two_is_seen_twice_and_weight_zero_never():
    given_items = (Item("skills", weight=2.0), Item("skills", weight=0.0), Item("skills", weight=1.0))
    assert Counter(Schedule(given_items, batch_size=1, epochs=1).epoch(0)) == {0: 2, 2: 1}


def test_similar_lengths_share_a_batch():
    given_items = tuple(Item("skills", length=n % 2 * 100 + 10) for n in range(16))
    schedule = Schedule(given_items, batch_size=4, epochs=1, window=4)
    for step in range(schedule.steps):
        assert len({given_items[i].length for i in schedule.batch(step)}) == 1


def test_another_seed_gives_another_order():
    given_items = tuple(Item("skills") for _ in range(30))
    assert Schedule(given_items, 5, 1, seed=1).epoch(0) != Schedule(given_items, 5, 1, seed=2).epoch(0)
