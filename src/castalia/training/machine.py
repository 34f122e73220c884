# pyright: basic
"""What this machine can compute with: the precision of the arithmetic, and the trainer arguments that follow."""

import os
from pathlib import Path
from typing import Any

import torch

from castalia.training.recipe import Recipe, StageSettings


def bf16_is_fast() -> bool:
    """Whether bf16 has hardware here: a GPU that has it, or a CPU with AMX (1.5-2.5 times fp32 on a small model)."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    return bool(torch.cpu._is_amx_tile_supported())


def local_gpus() -> list[float]:
    """Memory of each GPU here, in units of 1e9 bytes."""
    return [torch.cuda.get_device_properties(n).total_memory / 1e9 for n in range(torch.cuda.device_count())]


def arithmetic(recipe: Recipe) -> str:
    """`bf16` or `fp32`, with `auto` decided."""
    return ("bf16" if bf16_is_fast() else "fp32") if recipe.precision == "auto" else recipe.precision


def world_size() -> int:
    """Ranks of this launch, from the standard environment."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def trainer_arguments(recipe: Recipe, settings: StageSettings, out: Path, steps: int) -> dict[str, Any]:
    """Arguments that every trainer shares. The batch is global: ranks and micro-batches divide it, so it is the same on any number."""
    micro = min(settings.micro_batch_size or settings.batch_size, settings.batch_size)
    ranks = world_size()
    return {
        "output_dir": str(out / "checkpoints"),
        "per_device_train_batch_size": max(1, min(micro, settings.batch_size // ranks)),
        "gradient_accumulation_steps": max(1, settings.batch_size // (max(1, min(micro, settings.batch_size // ranks)) * ranks)),
        "max_steps": steps,
        "learning_rate": settings.learning_rate,
        "max_grad_norm": settings.clip,
        "seed": recipe.seed,
        "data_seed": recipe.seed,
        "bf16": arithmetic(recipe) == "bf16",
        "use_cpu": not torch.cuda.is_available(),
        "gradient_checkpointing": recipe.gradient_checkpointing,
        "logging_steps": 1,
        "logging_first_step": True,
        "logging_nan_inf_filter": False,
        "save_strategy": "no",
        "save_total_limit": 1,
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
        "remove_unused_columns": False,
    }
