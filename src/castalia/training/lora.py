# pyright: basic
"""Adapters: what they are laid over, and how they become part of the model again."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from castalia.errors import InputError, TrainingRefused
from castalia.store import folder_hash
from castalia.training.models import load_model, load_tokenizer, save_model
from castalia.training.recipe import LoraSettings

PROBES = ("The quick brown fox", "def area(r):\n    return", "1, 1, 2, 3, 5, 8,")


def adapter_config(settings: LoraSettings, added: Sequence[int]) -> Any:
    """PEFT's configuration. Added token rows are trained as rows, tied embeddings or not."""
    from peft import LoraConfig

    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=0.0,
        target_modules=list(settings.target_modules),
        target_parameters=list(settings.target_parameters) or None,
        trainable_token_indices={"embed_tokens": list(added)} if added else None,
        task_type="CAUSAL_LM",
    )


def export_merged(adapter: Path, out: Path, *, weights: str = "bf16", tolerance: float = 1e-2) -> float:
    """Merges the adapter in folder `adapter` into its base and writes what vLLM loads to `out`, completely or not at all.

    A model without an adapter is written as it is. Returns the largest difference of log-probabilities between adapter and merged
    model over a few probes (fp32). Raises TrainingRefused when it exceeds `tolerance`: then the merge changed the model; InputError
    when `out` exists or `adapter` is no model folder.
    """
    if out.exists():
        raise InputError(f"{str(out)!r} exists already; name a folder that does not")
    folder_hash(adapter)  # refuses what is no model
    model, tokenizer = load_model(adapter).eval(), load_tokenizer(adapter)
    before = _log_probabilities(model, tokenizer)
    merged = model.merge_and_unload() if hasattr(model, "merge_and_unload") else model
    difference = max(float((a - b).abs().max()) for a, b in zip(before, _log_probabilities(merged, tokenizer), strict=True))
    if not difference <= tolerance:  # a NaN is no small difference
        raise TrainingRefused(
            f"merging {str(adapter)!r} moved log-probabilities by {difference:.3g}, more than {tolerance:g}: not exported"
        )
    half = out.with_name(f".{out.name}.unfinished")
    shutil.rmtree(half, ignore_errors=True)
    save_model(merged.to(torch.bfloat16) if weights == "bf16" else merged, tokenizer, adapter, half)
    (half / "export.json").write_text(json.dumps({"difference": difference, "weights": weights}), encoding="utf-8")
    half.rename(out)
    return difference


@torch.no_grad()
def _log_probabilities(model: Any, tokenizer: Any) -> list[torch.Tensor]:
    return [torch.log_softmax(model(**tokenizer(text, return_tensors="pt")).logits[0].float(), dim=-1) for text in PROBES]
