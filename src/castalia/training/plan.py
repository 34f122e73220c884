"""What a recipe would do on given hardware: batch split, steps, memory, commands. Refuses what can't work.

Memory is arithmetic, not a measurement: bytes of weights, gradients, optimizer state and activations.
"""

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import Field

from castalia.errors import TrainingRefused
from castalia.records import Frozen
from castalia.training.recipe import GrpoSettings, Recipe, StageName, StageSettings

_RESERVE = 0.92
"""Share of a device's memory that may be planned with; fragmentation takes the rest."""
_CPU_TOKENS_PER_S = 110
"""Full training of SmolLM2-135M in fp32 on two cores; bf16 arithmetic on a CPU with AMX is about twice that."""


@dataclass(frozen=True)
class Shape:
    """What memory depends on."""

    parameters: float
    layers: int
    hidden: int
    vocabulary: int
    experts: int = 0
    intermediate: int = 0
    expert_share: float = 0.0


SHAPES: Mapping[str, Shape] = {
    "smollm2-135m-instruct": Shape(134.5e6, 30, 576, 49_159, intermediate=1536),
    "openai/gpt-oss-20b": Shape(20.9e9, 24, 2880, 201_088, experts=32, intermediate=2880, expert_share=0.91),
}


class Hardware(Frozen):
    """Where training would run."""

    devices: int = Field(default=1, ge=1, description="GPUs, or 1 for a CPU.")
    memory_gb: float = Field(gt=0, description="Memory of each device, in units of 1e9 bytes.")
    kind: str = Field(default="gpu", pattern="^(gpu|cpu)$", description="`gpu` or `cpu`.")


class Counts(Frozen):
    """The data, as far as a plan needs it."""

    sft: int = 0
    preference: int = 0
    reward: int = 0
    replay: int = 0
    mean_tokens: int = Field(default=512, ge=1, description="Mean length of a sample in tokens.")

    def known(self) -> bool:
        """Whether there is any data yet; without, memory and batches can be planned all the same."""
        return any((self.sft, self.preference, self.reward, self.replay))

    def of(self, stage: StageName) -> int:
        return {"sft": self.sft, "preference": self.preference, "grpo": self.reward, "consolidate": self.replay}[stage]


class StagePlan(Frozen):
    """One stage."""

    stage: StageName
    samples: int
    steps: int
    tokens: int = Field(description="Tokens in sequences, over all epochs.")
    per_device: int = Field(description="Sequences per device and forward pass.")
    accumulation: int = Field(description="Forward passes per optimizer step.")
    memory_gb: float = Field(description="Estimated peak per device.")
    seconds: float | None = Field(default=None, description="Estimate, on a CPU only.")


class TrainingPlan(Frozen):
    """Everything `castalia train --plan` prints."""

    recipe: str
    base: str
    trainable: float = Field(description="Trainable parameters.")
    parameters: float = Field(description="All parameters.")
    experts_trained: bool = Field(description="Whether expert weights are trained, where the model has them.")
    shards: int = Field(description="Devices that weights and optimizer state are split over.")
    stages: tuple[StagePlan, ...]
    notes: tuple[str, ...]
    launch: str = Field(description="The line that starts a stage.")

    def __str__(self) -> str:
        return self.text()

    def text(self) -> str:
        """A readable table."""
        head = f"{self.recipe}: {self.base}, {self.trainable / 1e6:,.1f} of {self.parameters / 1e6:,.0f} million parameters trained"
        lines = [head, f"{'stage':<12} {'samples':>8} {'steps':>6} {'tokens':>10} {'per device':>10} {'accumulate':>10} {'memory':>9}"]
        for s in self.stages:
            time = f"  about {s.seconds / 60:.1f} min" if s.seconds is not None else ""
            lines.append(
                f"{s.stage:<12} {s.samples:>8,} {s.steps:>6,} {s.tokens:>10,} "
                f"{s.per_device:>10} {s.accumulation:>10} {s.memory_gb:>6.1f} GB{time}"
            )
        return "\n".join([*lines, *(f"- {note}" for note in self.notes), f"launch: {self.launch}"])


def plan_training(recipe: Recipe, counts: Counts, hardware: Hardware) -> TrainingPlan:
    """The plan. Raises TrainingRefused with the reason when the recipe can't run there as written."""
    shape = model_shape(recipe.base)
    shards = hardware.devices
    trainable, experts_trained = trainable_parameters(recipe, shape)
    stages: list[StagePlan] = []
    for stage, settings in recipe.stages():
        if counts.known() and not counts.of(stage):
            raise TrainingRefused(f"stage {stage!r} of recipe {recipe.name!r} has no data; add some or remove the stage")
        stages.append(_plan_stage(stage, settings, recipe, counts, hardware, shape, trainable))
    worst = max(stages, key=lambda s: s.memory_gb)
    if worst.memory_gb > _RESERVE * hardware.memory_gb:
        raise TrainingRefused(
            f"stage {worst.stage!r} of recipe {recipe.name!r} needs about {worst.memory_gb:.0f} GB on each of "
            f"{hardware.devices} device(s), which have {hardware.memory_gb:.0f} GB: " + _way_out(recipe, shape)
        )
    return TrainingPlan(
        recipe=recipe.name,
        base=recipe.base,
        trainable=trainable,
        parameters=shape.parameters,
        experts_trained=experts_trained,
        shards=shards,
        stages=tuple(stages),
        notes=tuple(_notes(recipe, counts, hardware, shape, experts_trained)),
        launch=(
            "python -m castalia.training.STAGE job.json"
            if hardware.devices == 1
            else f"accelerate launch --use_fsdp --num_processes {hardware.devices} -m castalia.training.STAGE job.json"
        ),
    )


def find_hardware(gpus: int | None = None) -> Hardware:
    """So many GPUs of 80 GB, or what this machine has: its GPUs, else its processor and memory."""
    if gpus:
        return Hardware(devices=gpus, memory_gb=80)
    if find_spec("torch") is not None:
        from castalia.training.machine import local_gpus

        found = local_gpus()
        if found:
            return Hardware(devices=len(found), memory_gb=min(found))
    return Hardware(memory_gb=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, kind="cpu")


def model_shape(base: str) -> Shape:
    """Shape of a known base, or of a local folder by its config.json. Raises TrainingRefused for one that is neither."""
    if base in SHAPES:
        return SHAPES[base]
    path = Path(base) / "config.json"
    if not path.exists():
        raise TrainingRefused(
            f"the size of base {base!r} is not known here: give a local folder with config.json, or one of {sorted(SHAPES)}"
        )
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    hidden, layers, vocabulary = config["hidden_size"], config["num_hidden_layers"], config["vocab_size"]
    experts, intermediate = config.get("num_local_experts", 0), config["intermediate_size"]
    heads = config["num_attention_heads"] * config.get("head_dim", hidden // config["num_attention_heads"])
    keys = heads * config.get("num_key_value_heads", config["num_attention_heads"]) // config["num_attention_heads"]
    mlp = 3 * hidden * intermediate * max(1, experts)
    total = layers * (2 * hidden * (heads + keys) + mlp) + vocabulary * hidden * (1 if config.get("tie_word_embeddings") else 2)
    return Shape(total, layers, hidden, vocabulary, experts, intermediate, layers * mlp / total if experts else 0.0)


def trainable_parameters(recipe: Recipe, shape: Shape) -> tuple[float, bool]:
    """How many parameters are trained, and whether the experts are among them."""
    if recipe.lora is None:
        frozen = 0 if any(settings.embeddings == "all" for _, settings in recipe.stages()) else shape.vocabulary * shape.hidden
        return shape.parameters - frozen, shape.experts > 0
    rank, h, i = recipe.lora.rank, shape.hidden, shape.intermediate
    # q and o see the hidden size on both sides or about so; k and v are narrower: an upper bound is enough for memory.
    modules = len(recipe.lora.target_modules) * rank * 2 * h
    widths = {"gate_up_proj": h + 2 * i, "down_proj": i + h}
    named = [width for name, width in widths.items() if any(p.endswith(name) for p in recipe.lora.target_parameters)]
    experts = sum(rank * shape.experts * width for width in named) if shape.experts else 0
    return float(shape.layers * (modules + experts)), bool(experts)


def _plan_stage(
    stage: StageName, settings: StageSettings, recipe: Recipe, counts: Counts, hardware: Hardware, shape: Shape, trainable: float
) -> StagePlan:
    micro = settings.micro_batch_size or settings.batch_size
    if settings.batch_size % hardware.devices:
        raise TrainingRefused(
            f"stage {stage!r} has batch_size {settings.batch_size}, which {hardware.devices} devices can't share evenly; "
            f"use a multiple of {hardware.devices}"
        )
    per_device = min(micro, settings.batch_size // hardware.devices)
    if settings.batch_size % (per_device * hardware.devices):
        raise TrainingRefused(
            f"stage {stage!r}: batch_size {settings.batch_size} is no multiple of micro_batch_size {per_device} "
            f"x {hardware.devices} devices"
        )
    samples = counts.of(stage)
    if stage == "consolidate":
        share = getattr(settings, "earlier_share", 0.0)
        samples += min(counts.sft, round(samples * share / (1 - share)))
    sequences = 2 if stage == "preference" else 1
    per_step = settings.batch_size // settings.generations if isinstance(settings, GrpoSettings) else settings.batch_size
    steps = max(1, math.ceil(samples * settings.epochs / per_step)) if samples else 0
    length = min(settings.max_length, counts.mean_tokens)
    if isinstance(settings, GrpoSettings):
        length += settings.max_completion
    tokens = steps * settings.batch_size * sequences * length
    longest = settings.max_length + (settings.max_completion if isinstance(settings, GrpoSettings) else 0)
    longest = min(longest, 4 * length)
    memory = memory_gb(recipe, shape, trainable, per_device * sequences * longest, hardware.devices)
    return StagePlan(
        stage=stage,
        samples=samples,
        steps=steps,
        tokens=tokens,
        per_device=per_device,
        accumulation=settings.batch_size // (per_device * hardware.devices),
        memory_gb=memory,
        seconds=tokens / _CPU_TOKENS_PER_S if hardware.kind == "cpu" and recipe.base in SHAPES else None,
    )


def memory_gb(recipe: Recipe, shape: Shape, trainable: float, tokens: int, devices: int) -> float:
    """Peak of one device in units of 1e9 bytes, for `tokens` tokens in one forward and backward pass."""
    width = 2 if recipe.weights == "bf16" else 4
    weights = shape.parameters * width + (trainable * 4 if recipe.lora else 0)
    state = trainable * (4 + 8)
    per_layer = 2 * shape.hidden if recipe.gradient_checkpointing else 34 * shape.hidden
    activations = 2 * tokens * (shape.layers * per_layer + (34 * shape.hidden if recipe.gradient_checkpointing else 0))
    logits = tokens * shape.vocabulary * (width + 4)
    return ((weights + state) / devices + activations + logits) / 1e9 + 0.6


def _way_out(recipe: Recipe, shape: Shape) -> str:
    if recipe.lora is None:
        return "train an adapter (`lora`, weights: bf16), or use more devices; full fine-tuning keeps 16 bytes per parameter"
    if not recipe.gradient_checkpointing:
        return "set gradient_checkpointing: true, or a smaller micro_batch_size or max_length"
    width = 2 if recipe.weights == "bf16" else 4
    return f"weights alone are {shape.parameters * width / 1e9:.0f} GB; use more devices or a shorter max_length"


def _notes(recipe: Recipe, counts: Counts, hardware: Hardware, shape: Shape, experts_trained: bool) -> Iterator[str]:
    if not counts.known():
        yield "there is no data yet, so steps and times are open; memory is for samples of 512 tokens on average"
    if shape.experts and not experts_trained:
        yield f"experts stay frozen: {shape.expert_share:.0%} of the model; name them in lora.target_parameters to train them"
    if shape.experts:
        yield "MXFP4 weights can't be trained: the base is loaded in bf16; the attention sinks need eager or flex attention"
        yield "estimates for this base are arithmetic; they have not been checked on its real weights"
    if recipe.grpo is not None and hardware.kind == "gpu":
        yield f"GRPO generation: trl vllm-serve --model {recipe.base} --max-model-len {recipe.grpo.max_length + recipe.grpo.max_completion}"
    if hardware.kind == "cpu" and recipe.precision == "auto" and counts.known():
        yield "times are for fp32; on a CPU with AMX `precision: auto` takes bf16 arithmetic and about half the time"
