"""What goes into the sandbox and what comes out: limits, runners, outcomes. No I/O here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from pydantic import Field

from castalia.records import Frozen

Kind = Literal["ok", "wrong", "timeout", "memory", "output", "crash", "refused"]
Tier = Literal["A", "B"]

KINDS: tuple[Kind, ...] = ("ok", "wrong", "timeout", "memory", "output", "crash", "refused")


class Limits(Frozen):
    """What one program may use. Exceeding a limit is an outcome, not an error."""

    seconds: float = Field(default=5.0, gt=0, description="Wall-clock seconds of a program, or of each input of an evaluation.")
    memory_mb: int = Field(default=512, ge=32, description="MiB of address space per process, and of private memory in total.")
    output_bytes: int = Field(
        default=1_000_000,
        ge=1,
        description="Bytes of stdout and stderr together; also of one JSON value, all values of a call having 32 MB.",
    )
    processes: int = Field(default=32, ge=1, description="Processes and threads at one time.")
    files_mb: int = Field(default=16, ge=1, description="MiB of files: one file, the working folder, and what is returned.")


class RunnerConfig(Frozen):
    """How candidates of one kind are executed."""

    harness: str = Field(description="Path of a Python file with `def run(candidate: str, value) -> JSON value`.")
    packages: tuple[str, ...] = Field(
        default=(), description="Installed distributions the harness may import, e.g. `mako`. Nothing else is visible."
    )
    toolchain: Literal["", "rust", "shell"] = Field(
        default="", description="What the jail must see beside Python: the Rust compiler and its linker, or the tools of a shell script."
    )
    description: str = Field(default="", description="For prompts: what a candidate is, what an input and a value look like.")


@dataclass(frozen=True)
class Outcome:
    """How a program ended.

    ok: exit code 0. wrong: it ended by itself with another code. crash: a signal ended it, or the jail broke.
    timeout, memory, output: that limit. refused: it could not be started as asked.
    """

    kind: Kind
    stdout: bytes = b""
    stderr: bytes = b""
    files: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    exit_code: int | None = None
    seconds: float = 0.0
    cpu_seconds: float | None = None
    peak_memory_mb: float | None = None
    detail: str = ""


@dataclass(frozen=True)
class Value:
    """The JSON value a candidate gave for one input."""

    value: object
    seconds: float = 0.0
    cpu_seconds: float | None = field(default=None, compare=False)
    peak_memory_mb: float | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Failure:
    """Why a candidate gave no JSON value for one input. `wrong`: what it gave is no JSON value; `crash`: it raised or died."""

    kind: Kind
    detail: str
    seconds: float = field(default=0.0, compare=False)
    cpu_seconds: float | None = field(default=None, compare=False)
    peak_memory_mb: float | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Grade:
    """The result of all tests of an execution. `kind` is `ok`, or that of the first test that did not pass."""

    passed: bool
    kind: Kind
    details: tuple[str, ...]
    tests: int
    tests_passed: int
    seconds: float = field(default=0.0, compare=False)
    cpu_seconds: float | None = field(default=None, compare=False)
    peak_memory_mb: float | None = field(default=None, compare=False)

    @property
    def fraction(self) -> float:
        """Share of the tests that passed, in [0, 1]."""
        return self.tests_passed / self.tests if self.tests else 0.0


@dataclass(frozen=True)
class Case:
    """One call of a candidate's function and what must come of it. The expected value stays with the host.

    equal: equal to `expected`, as Python compares plain values (1 == True). is: True, False or None itself. close: within `tolerance` of
    it. truthy, falsy: what `if` would say.
    """

    function: str
    args: tuple[object, ...] = ()
    kwargs: Mapping[str, object] = field(default_factory=dict[str, object])
    expected: object = None
    relation: Literal["equal", "is", "close", "truthy", "falsy"] = "equal"
    tolerance: float = 0.0


class DoctorReport(NamedTuple):
    """What isolation this machine offers. `tier` is None when foreign code will not be run; `fix` then says what helps. `runners`
    says of each built-in runner whether it can run here, where that was asked."""

    tier: Tier | None
    why: str
    fix: str
    tiers: Mapping[str, str]
    runners: Mapping[str, str]

    def __str__(self) -> str:
        first = {
            "A": "foreign code runs in tier A, the stronger of the two",
            "B": "foreign code runs in tier B, the weaker of the two",
            None: "foreign code is not run on this machine",
        }[self.tier]
        lines = [first]
        lines += [f"tier {tier} {text}" for tier, text in self.tiers.items()]
        lines += [f"runner {name} {text}" for name, text in self.runners.items()]
        return "\n".join([*lines, f"to get {'tier A' if self.tier else 'a tier'}: {self.fix}"] if self.fix else lines)
