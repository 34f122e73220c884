# pyright: basic
"""distilabel: a pipeline of `LoadDataFromDicts` and `TextGeneration` with `OpenAILLM`, with its cache on.

It makes the calls of one batch at the same time, batch after batch, so a batch has as many rows as calls may be in flight. The cache does not
look at the rows: asked with one more, a pipeline of the same name returns the old ones, so the name has their hash.
"""

import hashlib
from collections.abc import Sequence

from distilabel.models import OpenAILLM  # pyright: ignore[reportMissingImports]
from distilabel.pipeline import Pipeline  # pyright: ignore[reportMissingImports]
from distilabel.steps import LoadDataFromDicts  # pyright: ignore[reportMissingImports]
from distilabel.steps.tasks import TextGeneration  # pyright: ignore[reportMissingImports]

from benchmarks.peers.asked import MAX_TOKENS, MODEL, SYSTEM, Asked, main


def answers(asked: Asked) -> Sequence[str]:
    """Of all questions."""
    rows = [{"instruction": question} for question in asked.questions]
    name = hashlib.sha256("\n".join(asked.questions).encode()).hexdigest()[:16]
    with Pipeline(name=name, cache_dir=asked.folder) as pipeline:
        load = LoadDataFromDicts(data=rows, batch_size=asked.in_flight)
        model = OpenAILLM(model=MODEL, base_url=asked.base_url, generation_kwargs={"max_new_tokens": MAX_TOKENS})
        generate = TextGeneration(llm=model, system_prompt=SYSTEM, input_batch_size=asked.in_flight)
        load >> generate  # pyright: ignore[reportUnusedExpression]
    return pipeline.run(use_cache=True)["default"]["train"]["generation"]


if __name__ == "__main__":
    main(answers)
