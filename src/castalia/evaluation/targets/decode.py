# pyright: basic
"""Batched decoding with transformers: left padding, a key-value cache, and rows that leave the batch when they are done.

Made for many short answers of a small model: batches hold prompts of similar length, each row has its own limit, and finished
rows cost nothing. Sampling draws from a generator per row, keyed by seed and prompt, so that an answer does not depend on its
neighbors in the batch.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache

from castalia.errors import InputError


@dataclass
class Row:
    """One completion in the making."""

    prompt: Sequence[int]
    limit: int
    random: np.random.Generator
    ids: list[int] = field(default_factory=list)
    stopped: bool = False


def row_of(prompt: Sequence[int], limit: int, seed: int, sample: int) -> Row:
    """A row whose random numbers depend on seed, prompt and sample only."""
    if not prompt or limit < 1:
        raise InputError(f"a prompt of {len(prompt)} tokens with a limit of {limit} can't be completed; both must be at least 1")
    digest = hashlib.sha256(np.asarray(prompt, dtype=np.int64).tobytes()).digest()
    return Row(prompt, limit, np.random.default_rng([seed, sample, int.from_bytes(digest[:8], "little")]))


def batches(rows: Sequence[Row], max_rows: int, max_cells: int) -> Iterator[list[Row]]:
    """Rows in batches of similar length, the longest first; a batch has at most `max_cells` tokens of cache, padding included."""
    batch: list[Row] = []
    longest = 0
    for row in sorted(rows, key=lambda row: (len(row.prompt) + row.limit, row.limit), reverse=True):
        longest = max(longest, len(row.prompt) + row.limit)
        if batch and (len(batch) == max_rows or (len(batch) + 1) * longest > max_cells):
            yield batch
            batch, longest = [], len(row.prompt) + row.limit
        batch.append(row)
    if batch:
        yield batch


LOOK_EVERY = 8
"""Tokens between two looks at whether an answer is still worth finishing."""


@torch.inference_mode()
def decode(
    model: Any,
    rows: Sequence[Row],
    stops: frozenset[int],
    temperature: float,
    worth_finishing: Callable[[Sequence[int]], bool] = lambda ids: True,
) -> None:
    """Fills in `ids` and `stopped` of the rows: greedy at temperature 0, sampled from the whole distribution otherwise.

    A row ends at its limit, at one of `stops`, or when `worth_finishing(ids so far)` says no.
    """
    device = model.device
    width = max(len(row.prompt) for row in rows)
    padding = [width - len(row.prompt) for row in rows]
    ids = torch.tensor([[0] * pad + list(row.prompt) for pad, row in zip(padding, rows, strict=True)], device=device)
    mask = torch.tensor([[0] * pad + [1] * len(row.prompt) for pad, row in zip(padding, rows, strict=True)], device=device)
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    cache = DynamicCache(config=model.config)
    alive = list(rows)  # rows of the tensors, in order; those that are done stay until enough are to be worth a copy
    while True:
        output = model(input_ids=ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True, logits_to_keep=1)
        chosen = _choose(output.logits[:, -1].float(), alive, temperature)
        for row, token in zip(alive, chosen, strict=True):
            if not _done(row):
                row.ids.append(token)
                row.stopped = token in stops or (len(row.ids) % LOOK_EVERY == 0 and not worth_finishing(row.ids))
        positions = positions[:, -1:] + 1
        ids = torch.tensor(chosen, device=device)[:, None]
        mask = torch.cat([mask, mask.new_ones(len(alive), 1)], dim=1)
        keep = [number for number, row in enumerate(alive) if not _done(row)]
        if not keep:
            return
        if len(keep) <= 0.75 * len(alive):
            index = torch.tensor(keep, device=device)
            cache.batch_select_indices(index)
            ids, mask, positions = ids[index], mask[index], positions[index]
            alive = [alive[number] for number in keep]


def _done(row: Row) -> bool:
    return row.stopped or len(row.ids) >= row.limit


def _choose(logits: torch.Tensor, rows: Sequence[Row], temperature: float) -> list[int]:
    if temperature <= 0:
        return logits.argmax(dim=-1).tolist()
    cumulative = torch.softmax(logits / temperature, dim=-1).double().cumsum(dim=-1)
    drawn = torch.tensor([[row.random.random()] for row in rows], dtype=torch.float64, device=logits.device) * cumulative[:, -1:]
    return torch.searchsorted(cumulative, drawn, right=True).squeeze(-1).clamp(max=logits.shape[-1] - 1).tolist()
