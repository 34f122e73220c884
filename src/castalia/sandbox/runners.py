"""Runners: how a candidate of one kind becomes JSON values, one per input. A harness is read by the host and runs in the jail."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from castalia.errors import ConfigError, SandboxUnavailable
from castalia.sandbox.jails import Jails
from castalia.sandbox.reports import missing_result, result_of
from castalia.sandbox.runtime import BUILT_IN
from castalia.sandbox.values import Failure, Limits, RunnerConfig, Value

_MOST_TOGETHER = 32_000_000
"""Bytes of all values of one call: the host holds them parsed, which takes twenty times as much."""


class Runner(NamedTuple):
    """A runner with its harness read."""

    name: str
    config: RunnerConfig
    harness: str


def read_runners(configured: Mapping[str, RunnerConfig]) -> dict[str, Runner]:
    """The built-in runners and the configured ones, by name. Raises ConfigError for a harness that can't be read, or that would take the
    name of a built-in one."""
    for name, config in configured.items():
        if name in BUILT_IN and config != BUILT_IN[name]:
            raise ConfigError(f"a sandbox runner is configured as {name!r}, which is built in; give yours another name")
    return {name: Runner(name, config, _text(name, config)) for name, config in {**BUILT_IN, **configured}.items()}


def evaluate_with(
    jails: Jails, runner: Runner, candidate: str | bytes | list[str], inputs: Sequence[object], limits: Limits
) -> list[Value | Failure]:
    """See `Sandbox.evaluate`; the harness gets the candidate as it is given here. Raises ConfigError for a harness that does not load in
    the jail, SandboxUnavailable where that is a built-in one."""
    toolchain = jails.toolchain(runner.config.toolchain) if runner.config.toolchain else None
    request = {"mode": "evaluate", "harness": runner.harness, "candidate": candidate, "inputs": list(inputs)}
    most = 6 * limits.output_bytes  # of one value as a frame, where every character may be escaped
    report = jails.ask(
        lambda _: request, limits, seconds=limits.seconds * len(inputs), most=max(most, min(most * len(inputs), _MOST_TOGETHER)),
        packages=runner.config.packages, toolchain=toolchain,
    )  # fmt: skip
    first = report.frames[0] if report.frames else {}
    if "loaded" not in first:  # no candidate has run yet, so this is no fault of one
        raise _not_loaded(runner, str(first.get("harness") or missing_result(report).detail))
    results = [result_of(frame) for frame in report.frames[1 : len(inputs) + 1]]
    return results + [missing_result(report)] * (len(inputs) - len(results))


def _not_loaded(runner: Runner, why: str) -> ConfigError | SandboxUnavailable:
    said = f"the harness of runner {runner.name!r} does not load in the sandbox: {why}"
    if BUILT_IN.get(runner.name) == runner.config:
        return SandboxUnavailable(f"{said}; `castalia sandbox doctor` says what this machine offers")
    return ConfigError(
        f"{said}; it sees the standard library and the distributions {list(runner.config.packages)}, and must define `run(candidate, value)`"
    )


def _text(name: str, runner: RunnerConfig) -> str:
    try:
        return Path(runner.harness).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the harness {runner.harness!r} of sandbox runner {name!r} can't be read: {error}; give the path of a Python file"
        ) from error
