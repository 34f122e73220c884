"""The target's own answers to the prompts of examples, for every stage that wants some.

Prompt file, subject and sample name a call, not the stage: what one stage asked is there for the next one, paid once.
"""

from collections.abc import Sequence
from pathlib import Path

from castalia.engine.concurrently import concurrently
from castalia.engine.context import Context
from castalia.engine.prompts import render_prompt
from castalia.errors import ConfigError
from castalia.harmony import HARMONY_TOKENS
from castalia.oracle import ChatMessage, Task, TextReply
from castalia.records import SFTExample

TARGET_PROMPT = Path(__file__).with_name("target_answer.md")


async def target_answers(example: SFTExample, samples: Sequence[int], ctx: Context) -> list[TextReply]:
    """One answer of the role `target` to the example's first message for each of `samples`, asked about under the example's subject.

    Each is text as the model gave it, empty or broken as that may be. Raises ConfigError where the run has no oracle.
    """
    if ctx.oracle is None:
        raise ConfigError(f"stage {ctx.stage!r} needs the answers of the target and was given no oracle; configure the role 'target'")
    oracle, conversation = ctx.oracle, example.conversation
    values = {"instructions": conversation.instructions, "prompt": conversation.messages[0].content}
    rendered = render_prompt(ctx.prompts[TARGET_PROMPT.stem], values)
    task = Task(stage=ctx.stage, prompt=TARGET_PROMPT.stem, subject=example.subject, prompt_sha256=rendered.template_sha256)
    messages = [ChatMessage("system", rendered.system)] if rendered.system else []
    messages.append(ChatMessage("user", rendered.user))
    return await concurrently(oracle.chat("target", messages, task=task, sample=sample) for sample in samples)


def is_played_by_writer(ctx: Context) -> bool:
    """Whether the answers of `target` are the writer's, because the role isn't configured or is the writer in everything."""
    return ctx.oracle is not None and ctx.oracle.is_writer("target")


def is_readable(text: str) -> bool:
    """Whether an answer is a final message at all: not empty, and without the tokens of a format that was not closed.

    Only the tokens count: `<|` alone is an operator of F# and Elm, `<|>` one of Haskell.
    """
    return bool(text.strip()) and not any(token in text for token in HARMONY_TOKENS)
