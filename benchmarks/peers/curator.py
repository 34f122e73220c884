# pyright: basic
"""bespokelabs-curator: `curator.LLM` on its OpenAI backend with its cache on.

Its limits per minute are set out of the way, as they default to 200 requests; the pause after a rate limit is the `Retry-After` of the
server, as it defaults to 10 seconds. Text is asked for and validated here, as its schema mode first tries the server with a class of its own.
The import of litellm's encoding brings the vocabulary that tokens are counted with, which is downloaded otherwise.
"""

from collections.abc import Sequence

import litellm.litellm_core_utils.default_encoding  # noqa: F401  # pyright: ignore[reportMissingImports]
from bespokelabs import curator  # pyright: ignore[reportMissingImports]
from datasets import Dataset  # pyright: ignore[reportMissingImports]

from benchmarks.peers.asked import MAX_TOKENS, MODEL, SYSTEM, Asked, main


class Answers(curator.LLM):
    """One answer per row."""

    def prompt(self, input: dict) -> str:
        """The row's question."""
        return input["question"]

    def parse(self, input: dict, response: str) -> dict:
        """The row's answer."""
        return {"answer": response}


def answers(asked: Asked) -> Sequence[str]:
    """Of all questions."""
    limits = {"max_requests_per_minute": 10_000_000, "max_tokens_per_minute": 10**11}
    model = Answers(
        model_name=MODEL,
        backend="openai",
        system_prompt=SYSTEM,
        generation_params={"max_tokens": MAX_TOKENS},
        backend_params={
            "base_url": asked.base_url, "max_concurrent_requests": asked.in_flight, "seconds_to_pause_on_rate_limit": 1, **limits,
        },
    )  # fmt: skip
    rows = Dataset.from_list([{"question": question} for question in asked.questions])
    return model(rows, working_dir=str(asked.folder)).dataset["answer"]


if __name__ == "__main__":
    main(answers)
