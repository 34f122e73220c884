"""Whether what an oracle wrote proves itself: its answer passes its check, and its check is one at all."""

import asyncio
from collections.abc import Mapping

from castalia.errors import ConfigError
from castalia.records import Check
from castalia.records.sections import Flaw
from castalia.sandbox import Sandbox
from castalia.scoring.score import score


async def proof_flaw(check: Check, answer: str, *, sandbox: Sandbox | None, files: Mapping[str, str] | None = None) -> Flaw | None:
    """None where `answer` passes; else `execution-failed`, `check-failed`, or `check-unusable` for a check that fits no answer.

    Scores in a thread, so that other asks go on meanwhile. Raises SandboxUnavailable where code must run and can't, ConfigError where
    the sandbox itself is configured wrongly.
    """
    try:
        result = await asyncio.to_thread(score, check, answer, sandbox=sandbox, files=files)
    except ConfigError as error:
        if check.kind == "execution":
            raise
        return Flaw("check-unusable", str(error))
    if result.passed:
        return None
    return Flaw("execution-failed" if check.kind == "execution" else "check-failed", result.reason)
