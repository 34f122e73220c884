# pyright: basic
"""data-designer: one text column over a seed dataset, `create` with `ResumeMode.IF_POSSIBLE`.

It keeps whole row groups when it is interrupted, so a group has as many rows as calls may be in flight.
"""

from collections.abc import Sequence

import data_designer.config as dd  # pyright: ignore[reportMissingImports]
import pandas
from data_designer.interface import DataDesigner  # pyright: ignore[reportMissingImports]

from benchmarks.peers.asked import MAX_TOKENS, MODEL, SYSTEM, Asked, main


def answers(asked: Asked) -> Sequence[str]:
    """Of all questions."""
    seed = asked.folder / "questions.parquet"
    pandas.DataFrame({"question": list(asked.questions)}).to_parquet(seed)
    parameters = dd.ChatCompletionInferenceParams(max_parallel_requests=asked.in_flight, max_tokens=MAX_TOKENS)
    builder = dd.DataDesignerConfigBuilder(
        model_configs=[dd.ModelConfig(alias="writer", model=MODEL, provider="loopback", inference_parameters=parameters)]
    )
    builder.with_seed_dataset(dd.LocalFileSeedSource(path=str(seed)))
    builder.add_column(dd.LLMTextColumnConfig(name="answer", model_alias="writer", system_prompt=SYSTEM, prompt="{{ question }}"))
    designer = DataDesigner(
        artifact_path=asked.folder / "artifacts",
        model_providers=[dd.ModelProvider(name="loopback", endpoint=asked.base_url, api_key="OPENAI_API_KEY")],
    )
    designer.set_run_config(dd.RunConfig(buffer_size=asked.in_flight, otel_metrics_port=None))
    results = designer.create(builder, num_records=len(asked.questions), dataset_name="benchmark", resume=dd.ResumeMode.IF_POSSIBLE)
    return list(results.load_dataset()["answer"])


if __name__ == "__main__":
    main(answers)
