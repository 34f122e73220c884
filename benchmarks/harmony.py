# pyright: basic
"""Harmony: are our tokens and masks exactly what the model sees and emits, and how do other stacks compare?

Figures come from seeded random conversations; openai-harmony is the reference, message by message. The published vectors are
read beside it. Other stacks render one conversation (two turns, each thought -> call -> result -> thought -> final) and are counted
on what they train.
"""

import random
from pathlib import Path
from typing import Any

from benchmarks import harmony_exact, harmony_peers, harmony_vectors
from benchmarks.harmony_talks import conversation
from castalia.harmony import Sample, gpt_oss_vocabulary, lint_samples, parse_completion, render_samples
from castalia.harmony.scan import scan


def run(gold: Path | None, quick: bool) -> dict[str, Any]:
    """Measures; random conversations in as many processes as there are cores, the rest in this one."""
    nulls: dict[str, str] = {}
    figures = harmony_exact.measure(300 if quick else 100_000)
    if figures["token_equal"] is None:
        nulls["token_equal"] = nulls["emit_coverage"] = nulls["wrong_context_tokens"] = "openai-harmony is not installed"
    figures |= harmony_vectors.measure(gold, nulls)
    figures |= _fuzz(2_000 if quick else 100_000)
    speed, peers = harmony_peers.measure(nulls, quick=quick)
    return {"figures": {**figures, **speed}, "peers": peers, "nulls": nulls}


def _fuzz(count: int) -> dict[str, int]:
    """Transcripts of random ids, half of them mutations of rendered ones, that make the parser, the scanner or lint raise."""
    vocabulary = gpt_oss_vocabulary()
    rng = random.Random(20)
    special = list(vocabulary.special.values())
    real = [sample for seed in range(200) for sample in render_samples(conversation(random.Random(seed)), vocabulary)]
    crashes = 0
    for number in range(count):
        sample = rng.choice(real)
        ids = (
            sample.ids[rng.choice((0, sample.spans()[0][0])) :]
            if number % 2
            else [rng.randint(-10, 202_000) for _ in range(rng.randint(0, 40))]
        )
        for _ in range(rng.randint(1, 6)):
            ids.insert(rng.randint(0, len(ids)), rng.choice(special))
            del ids[rng.randint(0, len(ids) - 1)]
        try:
            parse_completion(ids, vocabulary, finished=rng.random() < 0.5)
            if sum(block.end - block.start for block in scan(ids, vocabulary)) != len(ids):
                crashes += 1  # ids that belong to no message were lost
            if number % 10 == 0:
                lint_samples([Sample(ids, [True] * len(ids), [1.0] * len(ids), ["final"] * len(ids))], vocabulary)
        except Exception:  # noqa: BLE001 - counting every kind of crash is the figure
            crashes += 1
    return {"fuzzed_transcripts": count, "fuzz_crashes": crashes}
