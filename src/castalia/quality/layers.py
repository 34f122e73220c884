"""The six layers of quality, on one screen. A record passes from top to bottom; what fails above is not paid for below.

A layer that can't run fails closed: its records wait, they don't pass.
"""

from dataclasses import dataclass

from castalia.quality.check import GroupCheck, RecordCheck
from castalia.quality.checks import consistency, execution, facts, policy, schema


@dataclass(frozen=True)
class Layer:
    """One layer: its number, what it answers, and its checks in order."""

    number: int
    name: str
    question: str
    checks: tuple[RecordCheck | GroupCheck, ...]


LAYERS: tuple[Layer, ...] = (
    Layer(
        1,
        "schema",
        "Is the record well formed, in range, free of secrets, of duplicates and of leaks?",
        (schema.HARMONY, schema.EVIDENCE, schema.LENGTHS, schema.ENCODING, schema.SECRETS, schema.DUPLICATE_PROMPT, schema.CONTAMINATION),
    ),
    Layer(2, "consistency", "Does the answer follow from the blocks it cites?", (consistency.CONSISTENCY,)),
    Layer(3, "facts", "Do other sources agree, claim by claim?", (facts.FACTS,)),
    Layer(4, "execution", "Does what can run give the right values?", (execution.EXECUTION,)),
    Layer(5, "policy", "Is it licensed, safe, and not needlessly refusing?", (policy.LICENCE, policy.POLICY)),
    Layer(6, "people", "Do people agree with the judges?", ()),  # sampling: quality/review.py fills the queue
)
