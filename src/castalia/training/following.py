# pyright: basic
"""What every trainer of ours adds to TRL's: our order, our optimizer, metrics per step, checkpoints by time, a guard on time."""

import json
import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, TrainerCallback

from castalia.training.optimizer import build_optimizer
from castalia.training.recipe import StageName, StageSettings
from castalia.training.scheduler import Schedule
from castalia.training.stage import OnEvent, TrainingEvent


class ScheduleSampler(torch.utils.data.Sampler[int]):
    """The schedule's batches one after the other, as a sampler of single indices."""

    def __init__(self, schedule: Schedule, steps: int) -> None:
        self.schedule, self.steps = schedule, steps

    def __len__(self) -> int:
        return self.steps * self.schedule.batch_size

    def __iter__(self) -> Iterator[int]:
        for step in range(self.steps):
            yield from self.schedule.batch(step)


class Scheduled:
    """Mixin for a TRL trainer; set `schedule` and `settings` before training."""

    schedule: Schedule
    settings: StageSettings

    def _get_train_sampler(self, dataset: Any = None) -> Any:
        return ScheduleSampler(self.schedule, self.schedule.steps)

    def create_optimizer(self, model: Any = None) -> Any:
        trainer: Any = self
        if trainer.optimizer is None:
            trainer.optimizer = build_optimizer(trainer.model if model is None else model, self.settings)
        return trainer.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        trainer: Any = self
        if trainer.lr_scheduler is None:
            settings = self.settings
            trainer.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
                optimizer or trainer.optimizer, lambda step: rate_factor(step, num_training_steps, settings)
            )
        return trainer.lr_scheduler

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """None: a stage's record is stage.json."""


def rate_factor(step: int, steps: int, settings: StageSettings) -> float:
    """Share of the peak rate at `step`, counted from 0. Unlike the usual warm-up no step has rate 0: runs here can be short."""
    warm = round(settings.warmup * steps)
    if step < warm:
        return (step + 1) / (warm + 1)
    done = (step - warm) / max(1, steps - warm)
    return {"linear": 1 - done, "cosine": 0.5 * (1 + math.cos(math.pi * done)), "constant": 1.0}[settings.decay]


class Follow(TrainerCallback):
    """Writes metrics, reports events, asks for checkpoints by time and stops when the time is over."""

    def __init__(self, stage: StageName, settings: StageSettings, out: Path, on_event: OnEvent) -> None:
        self.stage: StageName = stage
        self.settings, self.out, self.on_event = settings, out, on_event
        self.began = self.saved = time.monotonic()
        self.stopped = ""

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        now = time.monotonic()
        every, limit = self.settings.checkpoint_seconds, self.settings.max_seconds
        if every is not None and now - self.saved >= every and state.global_step < state.max_steps:
            control.should_save = True
            self.saved = now
        if limit is not None and now - self.began >= limit and state.global_step < state.max_steps:
            control.should_training_stop = True
            self.stopped = f"max_seconds {limit:g} reached after step {state.global_step} of {state.max_steps}"

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        if not state.is_world_process_zero or not logs or ("loss" not in logs and "reward" not in logs):
            return
        seconds = time.monotonic() - self.began
        line = {"step": state.global_step, "seconds": round(seconds, 3), **{k: v for k, v in logs.items() if isinstance(v, int | float)}}
        with (self.out / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        self.on_event(
            TrainingEvent(stage=self.stage, step=state.global_step, steps=state.max_steps, seconds=seconds, loss=logs.get("loss"))
        )


def follow(trainer: Any, stage: StageName, settings: StageSettings, out: Path, on_event: OnEvent) -> Follow:
    """Attaches a Follow to `trainer` and takes away the callback that prints."""
    trainer.remove_callback(PrinterCallback)
    callback = Follow(stage, settings, out, on_event)
    trainer.add_callback(callback)
    return callback


def mean_of(lines: Sequence[dict[str, Any]], key: str) -> float | None:
    """Mean of `key` over the lines that have it; None when none does."""
    values = [line[key] for line in lines if isinstance(line.get(key), int | float)]
    return sum(values) / len(values) if values else None
