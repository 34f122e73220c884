"""Records become token ids and labels, by `castalia.harmony` alone: no chat template, no decoded text."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from castalia.errors import TrainingRefused
from castalia.harmony import PartWeights, Style, Vocabulary, render_prompt, render_samples
from castalia.records import Category, Conversation, Difficulty, Message, PreferencePair, Record, ReplayItem, RewardRecord, SFTExample
from castalia.training.scheduler import Item, Schedule

T = TypeVar("T")


@dataclass(frozen=True)
class Example:
    """One training sample. `labels` is -100 where nothing is learned; `weights` has a loss weight per token."""

    ids: list[int]
    labels: list[int]
    weights: list[float]
    category: Category
    difficulty: Difficulty
    weight: float
    record: str
    """Id of the record it came from."""

    def item(self) -> Item:
        """What the scheduler sees of it."""
        return Item(self.category, self.difficulty, len(self.ids), self.weight)

    def row(self) -> dict[str, Any]:
        """What the collator sees of it."""
        return {"input_ids": self.ids, "labels": self.labels, "weights": self.weights}


@dataclass(frozen=True)
class Pair:
    """A preference pair: ids of the prompt up to the given `<|start|>assistant`, and of the two answers."""

    prompt: list[int]
    chosen: list[int]
    rejected: list[int]
    category: Category
    record: str

    def item(self) -> Item:
        return Item(self.category, "medium", len(self.prompt) + max(len(self.chosen), len(self.rejected)))

    def row(self) -> dict[str, Any]:
        return {"prompt_ids": self.prompt, "chosen_ids": self.chosen, "rejected_ids": self.rejected}


@dataclass(frozen=True)
class Prompt:
    """A prompt for reinforcement learning; the record says how an answer is scored."""

    ids: list[int]
    record: RewardRecord

    def item(self) -> Item:
        return Item(self.record.category, "medium", len(self.ids))


@dataclass(frozen=True)
class Prepared(Generic[T]):
    """Samples and the records left out because they were longer than allowed."""

    samples: list[T]
    too_long: list[str]

    def required(self, stage: str) -> list[T]:
        """The samples. Raises TrainingRefused when there are none."""
        if not self.samples:
            raise TrainingRefused(
                f"stage {stage!r} has no sample to train on: {len(self.too_long)} were longer than max_length, and there are no others; "
                f"raise max_length, add data, or leave the stage out of the recipe"
            )
        return self.samples


def sft_examples(
    records: Iterable[Record], vocabulary: Vocabulary, style: Style, *, weights: PartWeights, emphasis: Any = None, max_length: int
) -> Prepared[Example]:
    """Samples of SFT examples and replay items, one per user turn."""
    samples: list[Example] = []
    too_long: list[str] = []
    for record in records:
        if not isinstance(record, SFTExample | ReplayItem):
            raise TrainingRefused(f"record {record.id!r} is a {type(record).__name__}; SFT takes SFTExample and ReplayItem records")
        weight = record.weight if isinstance(record, ReplayItem) else 1.0
        weight *= emphasis.of(record.category) if emphasis is not None else 1.0
        difficulty: Difficulty = record.difficulty if isinstance(record, SFTExample) else "medium"
        for sample in render_samples(record.conversation, vocabulary, style, weights):
            if len(sample.ids) > max_length:
                too_long.append(record.id)
            else:
                samples.append(Example(sample.ids, sample.labels(), sample.weights, record.category, difficulty, weight, record.id))
    return Prepared(samples, too_long)


def preference_pairs(records: Iterable[Record], vocabulary: Vocabulary, style: Style, *, max_length: int) -> Prepared[Pair]:
    """Pairs whose answers are exactly what the model would sample: a final message through `<|return|>`."""
    samples: list[Pair] = []
    too_long: list[str] = []
    for record in records:
        if not isinstance(record, PreferencePair):
            raise TrainingRefused(f"record {record.id!r} is a {type(record).__name__}; the preference stage takes PreferencePair records")
        prompt = render_prompt(record.prompt, vocabulary, style)
        chosen, rejected = (_answer(record.prompt, text, prompt, vocabulary, style) for text in (record.chosen.text, record.rejected.text))
        if len(prompt) + max(len(chosen), len(rejected)) > max_length:
            too_long.append(record.id)
        else:
            samples.append(Pair(prompt, chosen, rejected, record.category, record.id))
    return Prepared(samples, too_long)


def reward_prompts(records: Iterable[Record], vocabulary: Vocabulary, style: Style, *, max_length: int) -> Prepared[Prompt]:
    """Prompts of reward records."""
    samples: list[Prompt] = []
    too_long: list[str] = []
    for record in records:
        if not isinstance(record, RewardRecord):
            raise TrainingRefused(f"record {record.id!r} is a {type(record).__name__}; GRPO takes RewardRecord records")
        ids = render_prompt(record.prompt, vocabulary, style)
        (too_long.append(record.id) if len(ids) > max_length else samples.append(Prompt(ids, record)))
    return Prepared(samples, too_long)


def mix_with_earlier(replay: Sequence[Example], earlier: Sequence[Example], share: float, seed: int) -> list[Example]:
    """Replay samples plus so many earlier ones that these are `share` of the mix, chosen by lot and spread over categories."""
    wanted = min(len(earlier), round(len(replay) * share / (1 - share)))
    if not wanted:
        return list(replay)
    order = Schedule(tuple(Item(e.category) for e in earlier), batch_size=1, epochs=1, seed=seed).epoch(0)
    return [*replay, *(earlier[index] for index in order[:wanted])]


def _answer(prompt: Conversation, text: str, given: list[int], vocabulary: Vocabulary, style: Style) -> list[int]:
    answered = prompt.model_copy(update={"messages": (*prompt.messages, Message(role="assistant", channel="final", content=text))})
    sample = render_samples(answered, vocabulary, style)[-1]
    # The rendered sample must start with what inference gives: else the answer would be learned in a context never seen.
    if sample.ids[: len(given)] != given:
        raise TrainingRefused(f"prompt ending in {prompt.messages[-1].content[-60:]!r} renders differently with an answer behind it")
    return sample.ids[len(given) :]
