# pyright: basic
"""Reinforcement learning on TRL's GRPOTrainer with rewards from checks, over token ids from end to end."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from datasets import Dataset
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from castalia.harmony import Vocabulary, foreign_vocabulary
from castalia.records import Record, RewardRecord
from castalia.sandbox import Sandbox
from castalia.store import folder_hash
from castalia.training.data import Prompt, reward_prompts
from castalia.training.following import Scheduled, follow, mean_of
from castalia.training.job import Job, read_records
from castalia.training.lora import adapter_config
from castalia.training.machine import trainer_arguments
from castalia.training.models import added_rows, load_model, load_tokenizer, save_model
from castalia.training.optimizer import freeze
from castalia.training.process import main
from castalia.training.recipe import GrpoSettings, Recipe
from castalia.training.rewards import Scorer, checks, record_terms, score_completion
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
)


def run(
    recipe: Recipe,
    records: Sequence[Record],
    start: Path,
    out: Path,
    *,
    scorer: Scorer,
    start_id: str | None = None,
    on_event: OnEvent = ignore_event,
) -> StageResult:
    """Trains the model in `start` on prompts of reward records; the result lies in `out / "model"`.

    Every completion's reward terms go to `out / "rewards.jsonl"`. As `sft.run` in all else.
    """
    settings = recipe.grpo or GrpoSettings()
    fingerprint = stage_fingerprint("grpo", recipe, records, (), start_id or folder_hash(start))
    if done := finished(out, fingerprint):
        return done
    tokenizer = load_tokenizer(start)
    vocabulary = foreign_vocabulary(tokenizer)
    prepared = reward_prompts(records, vocabulary, recipe.style, max_length=settings.max_length)
    prompts = prepared.required("grpo")
    checkpoint = prepare(out, fingerprint, settings.model_dump(mode="json"))
    model = load_model(start, weights=recipe.weights, attention=recipe.attention)
    trainer = make_trainer(recipe, settings, prompts, model, tokenizer, vocabulary, added_rows(start), out, scorer)
    progress = follow(trainer, "grpo", settings, out, on_event)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    save_model(trainer.model, tokenizer, start, out / "model")
    lines = read_metrics(out)
    quarter = max(1, len(lines) // 4)
    result = StageResult(
        stage="grpo",
        folder=str(out / "model"),
        fingerprint=fingerprint,
        steps=trainer.state.global_step,
        planned_steps=trainer.state.max_steps,
        samples=len(prompts),
        too_long=tuple(prepared.too_long),
        tokens=int(max((line.get("num_tokens", 0) for line in lines), default=0)),
        seconds=max((line["seconds"] for line in lines), default=0.0),
        final_loss=mean_of(lines[-quarter:], "loss"),
        reward_first=mean_of(lines[:quarter], "reward"),
        reward_last=mean_of(lines[-quarter:], "reward"),
        stopped=progress.stopped,
    )
    return finish(out, result)


def make_trainer(
    recipe: Recipe,
    settings: GrpoSettings,
    prompts: Sequence[Prompt],
    model: Any,
    tokenizer: Any,
    vocabulary: Vocabulary,
    added: Sequence[int],
    out: Path,
    scorer: Scorer,
) -> "IdTrainer":
    """A trainer that samples `generations` completions for each of the step's prompts, which the schedule chose."""
    per_step = settings.batch_size // settings.generations
    schedule = Schedule(tuple(p.item() for p in prompts), batch_size=per_step, epochs=settings.epochs, seed=recipe.seed)
    order = [index for step in range(schedule.steps) for index in schedule.batch(step)]
    by_id = {prompt.record.id: prompt for prompt in prompts}
    if recipe.lora is None:
        freeze(model, settings, added)
    stops = [vocabulary.special[token] for token in ("<|return|>", "<|call|>")]
    model.generation_config.eos_token_id = stops
    trainer = IdTrainer(
        model=model,
        reward_funcs=Reward({key: prompt.record for key, prompt in by_id.items()}, vocabulary, scorer, stops, settings.format_floor, out),
        args=GRPOConfig(
            **trainer_arguments(recipe, settings, out, schedule.steps),
            num_generations=settings.generations,
            max_completion_length=settings.max_completion,
            temperature=settings.temperature,
            beta=settings.beta,
            loss_type=settings.loss,
            importance_sampling_level=settings.importance,
            scale_rewards=settings.scale_rewards,
            shuffle_dataset=False,
        ),
        train_dataset=Dataset.from_list([{"prompt": prompts[index].record.id} for index in order]),
        processing_class=tokenizer,
        peft_config=adapter_config(recipe.lora, added) if recipe.lora and not hasattr(model, "peft_config") else None,
    )
    trainer.schedule, trainer.settings = schedule, settings
    trainer.prompt_ids = {key: prompt.ids for key, prompt in by_id.items()}
    return trainer


class IdTrainer(Scheduled, GRPOTrainer):
    """GRPOTrainer whose prompts are names of token id lists, so that no text is tokenized a second time."""

    prompt_ids: dict[str, list[int]]

    def _get_train_sampler(self, dataset: Any = None) -> Any:
        """TRL's own: it repeats each row for its group, in the order of the rows, which is the schedule's."""
        return GRPOTrainer._get_train_sampler(self, dataset)

    def _tokenize_prompts(self, prompts: list[str]) -> tuple[list[list[int]], None, dict[str, Any]]:
        return [list(self.prompt_ids[name]) for name in prompts], None, {}


class Reward:
    """The reward function: names of prompts and ids of completions in, rewards or None out, terms recorded."""

    __name__ = "reward"

    def __init__(
        self, records: dict[str, RewardRecord], vocabulary: Vocabulary, scorer: Scorer, stops: Sequence[int], floor: float, out: Path
    ) -> None:
        self.records, self.vocabulary, self.scorer = records, vocabulary, scorer
        self.stops, self.floor, self.out = frozenset(stops), floor, out

    def __call__(
        self, prompts: Sequence[str], completion_ids: Sequence[Sequence[int]], trainer_state: Any = None, **kwargs: Any
    ) -> list[float | None]:
        step = getattr(trainer_state, "global_step", 0)
        terms = [
            score_completion(
                self.records[name],
                ids,
                self.vocabulary,
                self.scorer,
                finished=bool(ids) and ids[-1] in self.stops,
                floor=self.floor,
                step=step,
            )
            for name, ids in zip(prompts, completion_ids, strict=True)
        ]
        record_terms(self.out / "rewards.jsonl", terms)
        return [term.reward for term in terms]


def run_job(job: Job, on_event: OnEvent) -> StageResult:
    """The stage of a job, with its sandbox."""
    records = read_records(Path(job.data))
    with _sandbox(job, records) as sandbox:
        return run(
            job.recipe,
            records,
            Path(job.start),
            Path(job.out),
            scorer=checks(sandbox, seed=job.recipe.seed),
            start_id=job.start_id,
            on_event=on_event,
        )


def _sandbox(job: Job, records: Sequence[Record]) -> AbstractContextManager[Sandbox | None]:
    """Opened only where a reward executes: a machine without isolation can still train on the others."""
    executes = any(isinstance(r, RewardRecord) and r.check.kind == "execution" for r in records)
    return Sandbox(job.runners, tier=job.tier) if executes and job.tier else nullcontext()


if __name__ == "__main__":
    main("grpo", run_job)
