"""How an answer is checked without an opinion: by comparison, by constraint or by execution."""

import json
from typing import Any, Literal

from pydantic import Field, field_validator
from pydantic_core import from_json

from castalia.records.base import Frozen, canonical_json


class ExecutionTest(Frozen):
    """One input and the value that a right program gives. The expected value never enters the sandbox."""

    input: str = Field(description="JSON value handed to the runner's harness.")
    expected: str = Field(description="JSON value the host compares with, exactly.")

    @field_validator("input", "expected", mode="before")
    @classmethod
    def _json_text(cls, value: Any) -> str:
        if not isinstance(value, str):
            return canonical_json(value)
        try:
            from_json(value)  # refuses what is nested too deeply for any reader, which json raises no ValueError for
        except ValueError as error:
            quoted = json.dumps(json.dumps(value[:20]))
            raise ValueError(f"{value[:60]!r} is not JSON text ({error}); a string needs its own quotes: {quoted} inside JSON") from error
        return value


class Execution(Frozen):
    """Code that must run and give these values."""

    runner: str = Field(description="Name of a sandbox runner, e.g. `python` or one from the configuration.")
    tests: tuple[ExecutionTest, ...] = Field(description="At least one.")


class Check(Frozen):
    """What a right answer is. `kind` selects the scorer in `castalia.scoring`."""

    kind: Literal["exact", "contains", "choice", "numeric", "regex", "sequence", "constraints", "execution", "state"] = Field(
        description="exact: one of `expected` after normalisation. contains: every group of `expected` (alternatives "
        "split by `|`) occurs. choice: the letter. numeric: the number within `tolerance`. regex: `expected[0]` matches. "
        "sequence: the letters in this order. constraints: every rule of `expected` holds. execution: `execution` passes. "
        "state: after the tool calls, files hold what `expected` says (`path=content`)."
    )
    expected: tuple[str, ...] = Field(default=(), description="Meaning by kind, above.")
    forbidden: tuple[str, ...] = Field(default=(), description="Phrases that make the answer wrong wherever they occur.")
    tolerance: float = Field(default=0.0, description="Absolute tolerance for `numeric`.")
    execution: Execution | None = Field(default=None, description="For `execution`: what to run.")
