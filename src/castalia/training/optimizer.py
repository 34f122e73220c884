# pyright: basic
"""AdamW with a rate of its own for the added rows of an embedding.

Adam divides by the gradient's size, so scaling the gradient of some rows doesn't scale their step: a rate of its own needs
a parameter of its own. The added rows are copied to one; after each step they are written back. The embedding itself gets
no optimizer state, which for a small model with a large vocabulary is a fifth of it.
"""

from collections.abc import Sequence
from typing import Any

import torch

from castalia.training.recipe import StageSettings


class RowAdamW(torch.optim.AdamW):
    """AdamW over `body`, and over rows `added` of `embeddings` (tied or not) at `row_rate`."""

    def __init__(
        self, body: list[Any], embeddings: Sequence[torch.nn.Parameter], added: Sequence[int], *, rate: float, row_rate: float, decay: float
    ) -> None:
        self.embeddings = list(embeddings)
        self.added = torch.tensor(list(added), dtype=torch.long)
        self.rows = [torch.nn.Parameter(e.detach()[self.added.to(e.device)].clone()) for e in self.embeddings]
        groups: list[dict[str, Any]] = [{"params": body, "lr": rate, "weight_decay": decay}] if body else []
        if self.rows:
            groups.append({"params": self.rows, "lr": row_rate, "weight_decay": 0.0})
        super().__init__(groups, lr=rate, fused=True)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        for row, embedding in zip(self.rows, self.embeddings, strict=True):
            added = self.added.to(embedding.device)
            row.copy_(embedding[added])
            row.grad = None if embedding.grad is None else embedding.grad[added].to(row.dtype)
        result = super().step(closure)
        for row, embedding in zip(self.rows, self.embeddings, strict=True):
            embedding[self.added.to(embedding.device)] = row.to(embedding.dtype)
        return result

    def zero_grad(self, set_to_none: bool = True) -> None:
        super().zero_grad(set_to_none)
        for embedding in self.embeddings:
            embedding.grad = None


def freeze(model: Any, settings: StageSettings, added: Sequence[int]) -> None:
    """Switches off, in place, what the settings leave as it is. Only gradients of added rows reach the embedding's `.grad`,
    so the bound on the gradient's norm sees what is trained."""
    layers = model.get_decoder().layers
    for layer in list(layers)[: settings.freeze_layers]:
        layer.requires_grad_(False)
    for embedding in embedding_weights(model):
        if settings.embeddings == "none" or (settings.embeddings == "added" and not added):
            embedding.requires_grad_(False)
        elif settings.embeddings == "added":
            embedding.requires_grad_(True)
            embedding.register_hook(_only_rows(torch.tensor(list(added))))


def build_optimizer(model: Any, settings: StageSettings, added: Sequence[int]) -> torch.optim.Optimizer:
    """The optimizer of a stage over everything in `model` that requires a gradient."""
    by_row = [e for e in embedding_weights(model) if settings.embeddings == "added" and added and e.requires_grad]
    body = [p for p in model.parameters() if p.requires_grad and not any(p is e for e in by_row)]
    row_rate = settings.new_token_learning_rate or settings.learning_rate
    return RowAdamW(body, by_row, added, rate=settings.learning_rate, row_rate=row_rate, decay=settings.weight_decay)


def embedding_weights(model: Any) -> list[torch.nn.Parameter]:
    """Input and output embedding, once where they are tied."""
    weights = [layer.weight for layer in (model.get_input_embeddings(), model.get_output_embeddings()) if layer is not None]
    return list({id(weight): weight for weight in weights}.values())


def _only_rows(rows: torch.Tensor) -> Any:
    def keep(gradient: torch.Tensor) -> torch.Tensor:
        kept = torch.zeros_like(gradient)
        kept[rows.to(gradient.device)] = gradient[rows.to(gradient.device)]
        return kept

    return keep
