"""Numbers at the edge of what a float holds."""

import json

from castalia.records.base import canonical_json
from castalia.sandbox.near import inputs_near


def test_inputs_near_the_largest_float_are_numbers_of_json() -> None:
    known = [{"call": "f", "args": [1e308]}, {"call": "f", "args": [1.7e308]}, {"call": "f", "args": [2.5]}]
    made = inputs_near(known, 40, seed="s")
    assert made
    assert all(json.loads(canonical_json(one)) for one in made)
