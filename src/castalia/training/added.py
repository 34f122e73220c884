# pyright: basic
"""An embedding of which only the added rows are trained.

As parameters of their own the rows have a learning rate of their own, which scaling a gradient would not give them under Adam, and the
rest of the matrix gets neither gradient nor optimizer state: for a small model with a large vocabulary that is a fifth of either.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional

_ROWS = "rows"


class RowEmbedding(torch.nn.Module):
    """`embedding` with its rows `added` as trained parameter `rows`, (added, width); the other rows stay as they are."""

    place: torch.Tensor

    def __init__(self, embedding: torch.nn.Embedding, added: Sequence[int]) -> None:
        super().__init__()
        self.weight = embedding.weight.requires_grad_(False)
        self.rows = torch.nn.Parameter(embedding.weight.detach()[list(added)].clone())
        place = torch.full((embedding.num_embeddings,), -1, dtype=torch.long)
        place[list(added)] = torch.arange(len(added))
        self.register_buffer("place", place, persistent=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        place = self.place[ids]
        return torch.where((place >= 0)[..., None], self.rows[place.clamp(min=0)], functional.embedding(ids, self.weight))


class RowHead(torch.nn.Module):
    """The output layer to match. Tied to an embedding it uses that one's rows; otherwise it has rows of its own."""

    added: torch.Tensor

    def __init__(self, head: torch.nn.Linear, added: Sequence[int], tied_to: RowEmbedding | None) -> None:
        super().__init__()
        self.weight = head.weight.requires_grad_(False)
        self.bias = head.bias
        self.register_buffer("added", torch.tensor(list(added)), persistent=False)
        # Tied rows are the embedding's parameter. A second name for it would be written to checkpoints a second time.
        self._tied = (tied_to,) if tied_to is not None else ()
        if tied_to is None:
            self.rows = torch.nn.Parameter(head.weight.detach()[list(added)].clone())

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        rows = self._tied[0].rows if self._tied else self.rows
        logits = functional.linear(hidden, self.weight, self.bias)
        bias = None if self.bias is None else self.bias[self.added]
        return logits.index_copy(-1, self.added, functional.linear(hidden, rows, bias).to(logits.dtype))


def train_rows(model: Any, added: Sequence[int]) -> None:
    """Replaces, in place, the input and output layer of `model` by ones of which only the rows `added` are trained."""
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    ours = RowEmbedding(embedding, added)
    model.set_input_embeddings(ours)
    if head is not None:
        model.set_output_embeddings(RowHead(head, added, ours if head.weight is embedding.weight else None))


def trained_rows(model: Any) -> list[torch.nn.Parameter]:
    """The rows that `train_rows` made parameters of; empty for other models."""
    return [module.rows for module in _row_modules(model) if isinstance(module.rows, torch.nn.Parameter)]


@torch.no_grad()
def merged_state(model: Any) -> dict[str, torch.Tensor]:
    """The state of `model` as one without `train_rows` has it: the rows are where they belong."""
    for module in _row_modules(model):
        if isinstance(module, RowEmbedding):
            module.weight[module.place >= 0] = module.rows
        else:
            module.weight[module.added] = module.rows
    own = {f"{name}.{_ROWS}" for name, module in model.named_modules() if isinstance(module, RowEmbedding | RowHead)}
    return {name: tensor for name, tensor in model.state_dict().items() if name not in own}


def _row_modules(model: Any) -> list[Any]:
    """Those with rows of their own."""
    return [module for module in model.modules() if isinstance(module, RowEmbedding | RowHead) and _ROWS in module._parameters]
