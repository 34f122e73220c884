"""The comparison with openai-harmony sees what differs."""

import random

import pytest
from benchmarks.harmony_talks import conversation
from benchmarks.harmony_told import told

from benchmarks import harmony_exact
from castalia.harmony import from_trl, to_trl

pytest.importorskip("openai_harmony")


def test_random_conversations_are_rendered_as_the_reference_renders_them():
    found = harmony_exact._chunk((0, 12))
    assert found["equal"] == found["messages"] > 0 and found["covered"] == found["emit"] > 0
    assert (found["wrong"], found["back"], found["formats"], found["systems"]) == (0, 12, 12, 8)
    assert 0 < found["developers"] < 12


@pytest.mark.parametrize("difference", [{"knowledge_cutoff": "2030-01"}, {"preamble": "none"}])
def test_a_renderer_that_differs_is_seen(difference, monkeypatch):
    render = harmony_exact.render_samples
    monkeypatch.setattr(
        harmony_exact, "render_samples", lambda talk, vocabulary, style: render(talk, vocabulary, style.model_copy(update=difference))
    )
    found = harmony_exact._chunk((4, 7))
    assert found["equal"] < found["messages"]


def test_most_conversations_are_told_something():
    talks = [conversation(rng).model_copy(update=told(rng, ())) for rng in map(random.Random, range(200))]
    shares = {
        "tools": sum(bool(talk.tools) for talk in talks),
        "instructions": sum(bool(talk.instructions) for talk in talks),
        "response_formats": sum(bool(talk.response_formats) for talk in talks),
        "date": sum(bool(talk.date) for talk in talks),
    }
    assert min(shares.values()) > 50, shares
    assert all(from_trl(to_trl(talk)) == talk for talk in talks)
