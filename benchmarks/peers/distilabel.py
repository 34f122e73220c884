# pyright: basic
"""distilabel: a pipeline of `TextGeneration` with `OpenAILLM` over a dataset, with its cache on.

It makes the calls of one batch at the same time, batch after batch, so a batch has as many rows as calls may be in flight. The rows come as
a dataset because the cache knows at least how many of those there are; of dictionaries it returns the old ones after a row was added.
"""

from collections.abc import Sequence

from benchmarks.peers.asked import MAX_TOKENS, MODEL, SYSTEM, Asked, main
from datasets import Dataset  # pyright: ignore[reportMissingImports]
from distilabel.models import OpenAILLM  # pyright: ignore[reportMissingImports]
from distilabel.pipeline import Pipeline  # pyright: ignore[reportMissingImports]
from distilabel.steps.tasks import TextGeneration  # pyright: ignore[reportMissingImports]


def answers(asked: Asked) -> Sequence[str]:
    """Of all questions."""
    rows = Dataset.from_dict({"instruction": list(asked.questions)})
    with Pipeline(name="benchmark", cache_dir=asked.folder) as pipeline:
        model = OpenAILLM(model=MODEL, base_url=asked.base_url, generation_kwargs={"max_new_tokens": MAX_TOKENS})
        TextGeneration(llm=model, system_prompt=SYSTEM, input_batch_size=asked.in_flight)
    distiset = pipeline.run(dataset=rows, dataset_batch_size=asked.in_flight, use_cache=True)
    return distiset["default"]["train"]["generation"]


if __name__ == "__main__":
    main(answers)
