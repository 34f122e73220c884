"""One open sandbox per tier for the whole room; skipped with the doctor's reason where a tier does not work."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from castalia.errors import SandboxUnavailable, ToolchainMissing
from castalia.sandbox import RunnerConfig, Sandbox, doctor

HARNESS = """
from markupsafe import escape

def run(candidate, value):
    return str(escape(candidate.format(**value)))
"""


@pytest.fixture(scope="session", params=["A", "B"])
def sandbox(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    harness: Path = tmp_path_factory.mktemp("harness") / "escape.py"
    harness.write_text(HARNESS)
    try:
        opened = Sandbox({"escape": RunnerConfig(harness=str(harness), packages=("MarkupSafe",))}, tier=request.param)
    except SandboxUnavailable as error:
        pytest.skip(f"{error} | doctor: {doctor().why}")
    with opened:
        yield opened


@pytest.fixture(scope="session")
def any_tier() -> Iterator[Sandbox]:
    """A sandbox of the best tier here, for what is the same in both."""
    if doctor().tier is None:
        pytest.skip(doctor().why)
    with Sandbox() as opened:
        yield opened


@pytest.fixture(scope="session")
def rust(any_tier: Sandbox) -> Sandbox:
    """That sandbox where it has a Rust compiler; skipped with the reason where there is none."""
    try:
        any_tier.jails.toolchain("rust")
    except ToolchainMissing as error:
        pytest.skip(str(error))
    return any_tier
