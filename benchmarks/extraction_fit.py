# pyright: basic
"""Fits the model that chooses main content: `python -m benchmarks.extraction_fit OUT.npz [--gold DIR] [--pages N] [--epochs N]`.

Pages are split by site: four parts of six are fitted on, one chose the settings below, and one was looked at by neither. The file names
the pages it was fitted on, so that `python -m benchmarks extraction` reports only others. Needs torch, which only fitting does.
"""

import argparse
import hashlib
import math
import random
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from benchmarks.__main__ import GOLD
from benchmarks.extraction_gold import Page, fingerprint, read_pages
from benchmarks.extraction_labels import label_units, words_of
from castalia.web.extract.features import DENSE, WORDS, read_features
from castalia.web.extract.meta import read_metadata
from castalia.web.extract.surroundings import NAMES
from castalia.web.extract.tree import parse

PARTS, FITTED = 6, (0, 1, 2, 4)
KINDS = ("article", "service", "product", "collection", "forum", "listing", "documentation")
HIDDEN, NAME_SIZE, WORD_SIZE, DILATIONS = 32, 8, 6, (1, 2, 4, 8, 1)
DROPOUT, NAME_DROPOUT, WORD_DROPOUT = 0.3, 0.2, 0.5
RATE, DECAY, BATCH = 3e-3, 1e-2, 8
NETWORKS = 2
KIND_LOSS = 0.05
"""Weight of guessing the page's type beside: it teaches the page's mean to know types."""
_WIDE_SUFFIX = re.compile(r"\.(?:co|com|org|net|ac|gov)\.[a-z]{2}$")


def part(page: Page) -> int:
    """The part that all pages of the page's site belong to."""
    host = urlsplit(page.url).hostname or page.name
    site = ".".join(host.split(".")[-(3 if _WIDE_SUFFIX.search(host) else 2) :])
    return int(hashlib.sha256(site.encode()).hexdigest()[:8], 16) % PARTS


class Network(nn.Module):
    """The same computation as `castalia.web.extract.model.Model`, over batches of pages."""

    def __init__(self) -> None:
        super().__init__()
        self.names, self.words = nn.Embedding(NAMES, NAME_SIZE), nn.Embedding(WORDS, WORD_SIZE)
        nn.init.normal_(self.names.weight, std=0.1)
        nn.init.normal_(self.words.weight, std=0.1)
        self.norm = nn.BatchNorm1d(DENSE)
        self.inp, self.mix = nn.Linear(DENSE + 3 * NAME_SIZE + WORD_SIZE, HIDDEN), nn.Linear(4 * HIDDEN, HIDDEN)
        self.conv = nn.ModuleList(nn.Conv1d(HIDDEN, HIDDEN, 3, padding=dilation, dilation=dilation) for dilation in DILATIONS)
        self.page, self.out, self.kind = nn.Linear(HIDDEN, HIDDEN), nn.Linear(HIDDEN, 1), nn.Linear(HIDDEN, len(KINDS))
        self.drop = nn.Dropout(DROPOUT)

    def forward(self, batch: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores of all units, [N], and of the kinds of all pages, [P, 7]."""
        names = self.names(batch["names"]) * batch["name_mask"][:, None]
        own = torch.zeros(batch["element_count"], NAME_SIZE).index_add(0, batch["name_element"], names)
        far = torch.zeros_like(own).index_add(0, batch["below"], own[batch["above"]])
        words = self.words(batch["words"]) * batch["word_mask"][:, None]
        said = torch.zeros(len(batch["elements"]), WORD_SIZE).index_add(0, batch["word_unit"], words)
        said = said / batch["word_count"].clamp(min=1).sqrt()[:, None]
        elements = batch["elements"]
        near = own[elements] + own[batch["parents"][elements]]
        joined = torch.cat([self.norm(batch["dense"]), near, own[batch["branches"]], far[elements] * 0.3, said], 1)
        hidden = self.drop(functional.relu(self.inp(joined)))
        weight = batch["weight"][:, None]
        pooled = [_mean(hidden, weight, batch[group]) for group in ("shapes", "siblings", "page")]
        hidden = self.drop(functional.relu(self.mix(torch.cat([hidden, *pooled], 1))))
        pages, length = batch["pages"], batch["length"]
        lanes = torch.zeros(pages * length, HIDDEN).index_copy(0, batch["slot"], hidden).view(pages, length, HIDDEN).transpose(1, 2)
        mask = torch.zeros(pages * length).index_fill(0, batch["slot"], 1.0).view(pages, 1, length)
        for layer in self.conv:
            lanes = (lanes + self.drop(functional.relu(layer(lanes)))) * mask
        flat = lanes.transpose(1, 2).reshape(pages * length, HIDDEN)[batch["slot"]]
        total = torch.zeros(pages, 1).index_add(0, batch["page"], weight)
        whole = torch.zeros(pages, HIDDEN).index_add(0, batch["page"], flat * weight) / total
        flat = functional.relu(flat + self.page(whole)[batch["page"]])
        return self.out(flat)[:, 0], self.kind(whole)


def main(arguments: list[str] | None = None) -> int:
    """Fits and writes the file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.extraction_fit", description="Fits the model of main content.")
    parser.add_argument("out", type=Path, help="the file to write, e.g. src/castalia/web/extract/model.npz")
    parser.add_argument("--gold", type=Path, default=GOLD, help="folder with the public reference data")
    parser.add_argument("--pages", type=int, default=None, help="only so many pages, to try it out")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0, help="of the first network")
    parser.add_argument("--networks", type=int, default=NETWORKS, help="whose scores are averaged")
    options = parser.parse_args(arguments)
    pages = [page for page in read_pages(options.gold / "html" / "wcxb-dev") if part(page) in FITTED][: options.pages]
    torch.set_num_threads(1)
    examples = [example for page in pages if (example := _example(page)) is not None]
    print(f"{len(examples)} pages", file=sys.stderr)
    networks = [_fit(examples, options.epochs, seed) for seed in range(options.seed, options.seed + options.networks)]
    _write(options.out, networks, sorted({fingerprint(page.html) for page in pages}))
    return 0


def _example(page: Page) -> dict[str, Any] | None:
    parsed = parse(page.html)
    if not parsed.units:
        return None
    texts = [" ".join("".join(unit.texts).split()) for unit in parsed.units]
    features = read_features(parsed, read_metadata(page.html).title)
    ancestors = [(element, above) for element in sorted(set(features.elements.tolist())) for above in _chain(element, features.parents)]
    return {
        "features": features,
        "chain": np.array(ancestors),
        "labels": np.array(label_units(texts, page.text), np.float32),
        "sizes": np.array([bag.total() for bag in words_of(texts)], np.float32),
        "kind": KINDS.index(page.kind) if page.kind in KINDS else 0,
    }


def _chain(element: int, parents: np.ndarray) -> list[int]:
    chain = [element]
    while chain[-1]:
        chain.append(int(parents[chain[-1]]))
    return chain


def _fit(examples: list[dict[str, Any]], epochs: int, seed: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    random.seed(seed)
    network = Network()
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
    steps = epochs * math.ceil(len(examples) / BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.15)
    averaged = {name: value.detach().clone().float() for name, value in network.state_dict().items()}
    step = 0
    for epoch in range(epochs):
        order = sorted(range(len(examples)), key=lambda number: len(examples[number]["labels"]) + random.random() * 400)
        batches = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
        random.shuffle(batches)
        total = 0.0
        for numbers in batches:
            batch = _batch([examples[number] for number in numbers])
            loss = _loss(network(batch), batch)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            total, step = total + loss.item(), step + 1
            keep = min(0.99, step / (step + 10))  # the average of late weights is steadier than the last ones
            for name, value in network.state_dict().items():
                averaged[name].mul_(keep).add_(value.detach().float(), alpha=1 - keep)
        print(f"epoch {epoch + 1}: loss {total / len(batches):.4f}", file=sys.stderr)
    return averaged


def _loss(scores: tuple[torch.Tensor, torch.Tensor], batch: dict[str, Any]) -> torch.Tensor:
    """Cross entropy of units, weighted by the root of their words, each page counting the same."""
    units, kinds = scores
    weight = (1 + batch["sizes"]).sqrt()
    each = functional.binary_cross_entropy_with_logits(units, batch["labels"], reduction="none") * weight
    pages = torch.zeros(batch["pages"])
    means = pages.index_add(0, batch["page"], each) / pages.index_add(0, batch["page"], weight)
    return means.mean() + KIND_LOSS * functional.cross_entropy(kinds, batch["kinds"])


def _mean(hidden: torch.Tensor, weight: torch.Tensor, groups: torch.Tensor) -> torch.Tensor:
    count = int(groups.max()) + 1
    sums = torch.zeros(count, hidden.shape[1]).index_add(0, groups, hidden * weight)
    return (sums / torch.zeros(count, 1).index_add(0, groups, weight))[groups]


def _batch(examples: list[dict[str, Any]]) -> dict[str, Any]:
    columns: defaultdict[str, list[np.ndarray]] = defaultdict(list)
    elements = units = shapes = siblings = 0
    length = max(len(example["labels"]) for example in examples)
    for number, example in enumerate(examples):
        found, count = example["features"], len(example["labels"])
        for name, value in (
            ("names", found.names),
            ("name_element", np.repeat(np.arange(len(found.parents)), np.diff(found.name_starts)) + elements),
            ("below", example["chain"][:, 0] + elements),
            ("above", example["chain"][:, 1] + elements),
            ("parents", found.parents + elements),
            ("elements", found.elements + elements),
            ("branches", found.branches + elements),
            ("words", found.words),
            ("word_unit", np.repeat(np.arange(count), np.diff(found.word_starts)) + units),
            ("word_count", np.diff(found.word_starts).astype(np.float32)),
            ("dense", found.dense),
            ("shapes", found.shapes + shapes),
            ("siblings", found.siblings + siblings),
            ("page", np.full(count, number)),
            ("weight", np.sqrt(1 + found.sizes).astype(np.float32)),
            ("slot", np.arange(count) + number * length),
            ("labels", example["labels"]),
            ("sizes", example["sizes"]),
        ):
            columns[name].append(value)
        elements, units = elements + len(found.parents), units + count
        shapes, siblings = shapes + int(found.shapes.max()) + 1, siblings + int(found.siblings.max()) + 1
    batch: dict[str, Any] = {}
    for name, values in columns.items():
        joined = torch.from_numpy(np.concatenate(values))
        batch[name] = joined if joined.is_floating_point() else joined.long()
    batch["name_mask"] = (torch.rand(len(batch["names"])) >= NAME_DROPOUT).float()
    batch["word_mask"] = (torch.rand(len(batch["words"])) >= WORD_DROPOUT).float()
    kinds = torch.tensor([example["kind"] for example in examples])
    return batch | {"element_count": elements, "pages": len(examples), "length": length, "kinds": kinds}


def _write(path: Path, networks: list[dict[str, torch.Tensor]], fitted: list[str]) -> None:
    """Every array has the networks as its first axis."""
    arrays: dict[str, np.ndarray] = {"dilations": np.array(DILATIONS, np.int32), "fitted": np.array(fitted)}
    each = [_arrays(state) for state in networks]
    arrays |= {name: np.stack([found[name] for found in each]) for name in each[0]}
    with path.open("wb") as sink:
        np.savez_compressed(sink, **arrays)  # pyright: ignore[reportArgumentType]


def _arrays(state: dict[str, torch.Tensor]) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    for name in ("names", "words"):
        weights = state[f"{name}.weight"].numpy()
        scale = np.abs(weights).max() / 127
        arrays[name], arrays[f"{name}_scale"] = np.round(weights / scale).astype(np.int8), np.array(scale, np.float32)
    scale = state["norm.weight"].numpy() / np.sqrt(state["norm.running_var"].numpy() + 1e-5)
    arrays["norm_scale"], arrays["norm_shift"] = scale, state["norm.bias"].numpy() - state["norm.running_mean"].numpy() * scale
    for name in ("inp", "mix", "page", "out"):
        arrays[name], arrays[f"{name}_bias"] = state[f"{name}.weight"].numpy().T.astype(np.float16), state[f"{name}.bias"].numpy()
    for number in range(len(DILATIONS)):
        weights = state[f"conv.{number}.weight"].numpy()
        arrays[f"conv{number}"] = np.concatenate([weights[:, :, place].T for place in range(3)]).astype(np.float16)
        arrays[f"conv{number}_bias"] = state[f"conv.{number}.bias"].numpy()
    return arrays


if __name__ == "__main__":
    sys.exit(main())
