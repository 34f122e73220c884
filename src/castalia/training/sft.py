# pyright: basic
"""Supervised fine-tuning on TRL's SFTTrainer with Harmony-exact labels; `python -m castalia.training.sft job.json`."""

import functools
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers.masking_utils import create_masks_for_generate
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from castalia.harmony import foreign_vocabulary
from castalia.records import Record
from castalia.store import folder_hash
from castalia.training.data import Example, Prepared, sft_examples
from castalia.training.following import Scheduled, follow, mean_of
from castalia.training.lora import adapter_config
from castalia.training.machine import trainer_arguments
from castalia.training.models import added_rows, count_trainable, load_model, load_tokenizer, save_model
from castalia.training.optimizer import freeze
from castalia.training.recipe import ConsolidateSettings, Recipe, SftSettings, StageName
from castalia.training.scheduler import Schedule
from castalia.training.stage import (
    OnEvent,
    StageResult,
    finish,
    finished,
    ignore_event,
    prepare,
    read_metrics,
    stage_fingerprint,
    write_atomically,
)

IGNORED = -100


def run(
    recipe: Recipe,
    records: Sequence[Record],
    start: Path,
    out: Path,
    *,
    start_id: str | None = None,
    on_event: OnEvent = ignore_event,
) -> StageResult:
    """Trains the model in `start` on SFT examples; the result lies in `out / "model"`.

    A finished run of the same inputs is returned as it is; an interrupted one goes on from its newest checkpoint with the
    identical next batch. `start_id` names what is in `start`; without it the folder's files are hashed.
    """
    settings = recipe.sft or SftSettings()
    start_id = start_id or folder_hash(start)
    fingerprint = stage_fingerprint("sft", recipe, records, (), start_id)
    if done := finished(out, fingerprint):
        return done
    tokenizer = load_tokenizer(start)
    prepared = sft_examples(
        records,
        foreign_vocabulary(tokenizer),
        recipe.style,
        weights=settings.weights,
        emphasis=settings.emphasis,
        max_length=settings.max_length,
    )
    return train_supervised("sft", recipe, settings, prepared, start, out, fingerprint, tokenizer, on_event)


def train_supervised(
    stage: StageName,
    recipe: Recipe,
    settings: SftSettings | ConsolidateSettings,
    prepared: Prepared[Example],
    start: Path,
    out: Path,
    fingerprint: str,
    tokenizer: Any,
    on_event: OnEvent,
    measure_kl: Callable[[], float] | None = None,
) -> StageResult:
    """The run shared by SFT and consolidation. `measure_kl` is asked when the model is written."""
    examples = prepared.required(stage)
    checkpoint = prepare(out, fingerprint, settings.model_dump(mode="json"))
    model = load_model(start, weights=recipe.weights, attention=recipe.attention)
    trainer = make_trainer(recipe, settings, examples, model, tokenizer, added_rows(start), out)
    write_atomically(out / "trainable.json", json.dumps(count_trainable(trainer.model)))
    progress = follow(trainer, stage, settings, out, on_event)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    save_model(trainer.model, tokenizer, start, out / "model")
    del model
    lines = read_metrics(out)
    tail = lines[-max(1, len(lines) // 10) :]
    result = StageResult(
        stage=stage,
        folder=str(out / "model"),
        fingerprint=fingerprint,
        steps=trainer.state.global_step,
        planned_steps=trainer.schedule.steps,
        samples=len(examples),
        too_long=tuple(prepared.too_long),
        tokens=int(sum(line.get("tokens", 0) for line in lines)),
        seconds=sum(line.get("step_seconds", 0.0) for line in lines),
        final_loss=mean_of(tail, "loss"),
        kl_to_start=measure_kl() if measure_kl else None,
        stopped=progress.stopped,
    )
    return finish(out, result)


def make_trainer(
    recipe: Recipe,
    settings: SftSettings | ConsolidateSettings,
    examples: Sequence[Example],
    model: Any,
    tokenizer: Any,
    added: Sequence[int],
    out: Path,
) -> "HarmonyTrainer":
    """A trainer over `examples` in the order of the schedule. Changes `model` in place where parts of it are frozen."""
    order = settings.order
    schedule = Schedule(
        tuple(e.item() for e in examples), batch_size=settings.batch_size, epochs=settings.epochs, seed=recipe.seed, order=order
    )
    if recipe.lora is None:
        freeze(model, settings, added)
    trainer = HarmonyTrainer(
        model=model,
        args=SFTConfig(
            **trainer_arguments(recipe, settings, out, schedule.steps),
            dataset_kwargs={"skip_prepare_dataset": True},
            max_length=None,
            packing=False,
            router_aux_loss_coef=settings.router_aux_loss or None,
        ),
        train_dataset=Dataset.from_list([e.row() for e in examples]),
        data_collator=Collator(tokenizer.pad_token_id or 0, pack=settings.pack),
        processing_class=tokenizer,
        peft_config=adapter_config(recipe.lora, added) if recipe.lora and not hasattr(model, "peft_config") else None,
    )
    trainer.schedule, trainer.settings, trainer.added = schedule, settings, added
    return trainer


class Collator:
    """Rows to a batch of input_ids, labels, weights and either attention_mask or, packed, position_ids.

    Padded, each is (rows, longest). Packed, each is (1, sum of lengths): the samples stand end to end and positions start at 0 with
    each. `packed_masks` keeps attention within a sample, so the numbers are the same and no padding is computed.
    """

    def __init__(self, pad: int, *, pack: bool = False) -> None:
        self.pad, self.pack = pad, pack

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
        kinds = {"input_ids": torch.long, "labels": torch.long, "weights": torch.float32}
        if self.pack:
            # Nothing before a sample predicts its first token, so that one can't be trained.
            firsts = {"labels": [IGNORED], "weights": [0.0]}
            rows = [{**row, **{key: [*first, *row[key][1:]] for key, first in firsts.items()}} for row in rows]
            joined = {key: torch.tensor([[value for row in rows for value in row[key]]], dtype=kind) for key, kind in kinds.items()}
            return {**joined, "position_ids": torch.tensor([[place for row in rows for place in range(len(row["input_ids"]))]])}
        longest = max(len(row["input_ids"]) for row in rows)
        fill = {"input_ids": self.pad, "labels": IGNORED, "weights": 0.0}
        padded = {
            key: torch.tensor([[*row[key], *[fill[key]] * (longest - len(row[key]))] for row in rows], dtype=kind)
            for key, kind in kinds.items()
        }
        present = [[1] * len(row["input_ids"]) + [0] * (longest - len(row["input_ids"])) for row in rows]
        return {**padded, "attention_mask": torch.tensor(present)}


class HarmonyTrainer(Scheduled, SFTTrainer):
    """SFTTrainer whose loss is the weighted mean over the trained tokens: sum(w * -log p) / sum(w).

    Logits are computed at the trained positions only. With all weights 1 the loss and its gradient are TRL's own.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        trained: Any = self.model
        give_losses(trained.get_base_model() if hasattr(trained, "peft_config") else trained)
        self._seen = {"tokens": 0, "trained_tokens": 0}
        self._lap = time.monotonic()

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> torch.Tensor:
        weight = sum(float((batch["weights"][:, 1:] * (batch["labels"][:, 1:] != IGNORED)).sum()) for batch in batch_samples)
        gathered: Any = self.accelerator.gather(torch.tensor([weight], device=device))
        return gathered.sum()

    def compute_loss(self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None) -> Any:
        labels, weights = inputs["labels"][:, 1:], inputs["weights"][:, 1:]
        trained = labels != IGNORED
        losses, router_loss = model(
            **_attending(model, inputs),
            use_cache=False,
            trained_labels=inputs["labels"],
            **({"output_router_logits": True} if self.aux_loss_enabled else {}),
        )
        total = (weights[trained] * losses).sum()
        normal = weights[trained].sum() if num_items_in_batch is None else num_items_in_batch
        loss = total / torch.as_tensor(normal).clamp(min=1e-8)
        if num_items_in_batch is not None:
            loss = loss * self.accelerator.num_processes
        if self.aux_loss_enabled:
            loss = loss + self.router_aux_loss_coef * router_loss / self.current_gradient_accumulation_steps
        self._seen["tokens"] += int(inputs["attention_mask"].sum()) if "attention_mask" in inputs else inputs["input_ids"].numel()
        self._seen["trained_tokens"] += int(trained.sum())
        return (loss, {}) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        if "loss" in logs:
            now = time.monotonic()
            logs.update(self._seen, step_seconds=round(now - self._lap, 4))
            self._seen, self._lap = {"tokens": 0, "trained_tokens": 0}, now
        super().log(logs, start_time)


def packed_masks(config: Any, position_ids: torch.Tensor, dtype: torch.dtype = torch.float32) -> Any:
    """The attention masks of samples that stand end to end, for `position_ids` (1, length): by layer type where a model has several.

    Given positions alone, some models of transformers 5.23 keep samples apart by themselves (Llama) and some let them see each
    other (GptOss); given masks, all keep them apart.
    """
    shape = torch.empty(*position_ids.shape, 0, dtype=dtype, device=position_ids.device)
    return create_masks_for_generate(
        config=config, inputs_embeds=shape, attention_mask=None, past_key_values=None, position_ids=position_ids
    )


def _attending(model: Any, inputs: dict[str, Any]) -> dict[str, Any]:
    """What the model attends by: the mask of padded rows, or the masks and positions of packed ones."""
    if "attention_mask" in inputs:
        return {"input_ids": inputs["input_ids"], "attention_mask": inputs["attention_mask"]}
    masks = packed_masks(getattr(model, "module", model).config, inputs["position_ids"], next(model.parameters()).dtype)
    return {"input_ids": inputs["input_ids"], "position_ids": inputs["position_ids"], "attention_mask": masks}


def give_losses(model: Any) -> None:
    """Lets `model(..., trained_labels=labels)` return (-log p of each trained token in fp32, router loss or None).

    TRL's own fused head projects every position on machines without Triton. With a third of the positions trained and a
    vocabulary of fifty thousand, that is most of a small model's work and memory. Done inside `forward`, as TRL does it, so
    that wrappers around the model see the call.
    """
    original = model.forward

    @functools.wraps(original)
    def forward(*args: Any, trained_labels: torch.Tensor | None = None, **kwargs: Any) -> Any:
        if trained_labels is None:
            return original(*args, **kwargs)
        labels = trained_labels[:, 1:]
        trained = labels != IGNORED
        if kwargs.get("output_router_logits"):
            # The router's loss needs the model's own forward; one position of logits is its smallest output.
            whole = original(*args, **kwargs, output_hidden_states=True, logits_to_keep=1)
            hidden, router_loss = whole.hidden_states[-1], whole.aux_loss
        else:
            hidden, router_loss = model.base_model(*args, **kwargs).last_hidden_state, None
        logits = model.get_output_embeddings()(hidden[:, :-1][trained])
        return torch.nn.functional.cross_entropy(logits.float(), labels[trained], reduction="none"), router_loss

    model.forward = forward


if __name__ == "__main__":
    from castalia.training.job import main

    main("sft")
