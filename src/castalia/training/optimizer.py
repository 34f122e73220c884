# pyright: basic
"""What a stage trains, and AdamW over it with a rate of its own for the added rows of an embedding."""

from collections.abc import Sequence
from typing import Any

import torch

from castalia.training.added import train_rows, trained_rows
from castalia.training.recipe import StageSettings


def freeze(model: Any, settings: StageSettings, added: Sequence[int]) -> None:
    """Switches off, in place, what the settings leave as it is. A base without added rows keeps its embedding."""
    layers = model.get_decoder().layers
    for layer in list(layers)[: settings.freeze_layers]:
        layer.requires_grad_(False)
    if settings.embeddings == "added" and added:
        train_rows(model, added)
    elif settings.embeddings != "all":
        for layer in (model.get_input_embeddings(), model.get_output_embeddings()):
            if layer is not None:
                layer.weight.requires_grad_(False)


def build_optimizer(model: Any, settings: StageSettings) -> torch.optim.Optimizer:
    """The optimizer of a stage over everything in `model` that requires a gradient."""
    rows = trained_rows(model)
    body = [p for p in model.parameters() if p.requires_grad and not any(p is row for row in rows)]
    row_rate = settings.new_token_learning_rate or settings.learning_rate
    groups: list[dict[str, Any]] = [{"params": body, "lr": settings.learning_rate, "weight_decay": settings.weight_decay}] if body else []
    if rows:
        groups.append({"params": rows, "lr": row_rate, "weight_decay": 0.0})
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)
