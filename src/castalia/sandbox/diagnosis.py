"""What this machine offers foreign code: each tier and each built-in runner, tried."""

import platform

from castalia.errors import SandboxUnavailable, ToolchainMissing
from castalia.sandbox.box import Sandbox
from castalia.sandbox.opening import TIERS, better
from castalia.sandbox.values import DoctorReport, Tier, Value


def doctor(*, runners: bool = False) -> DoctorReport:
    """Tries both tiers and says which one `Sandbox()` takes, why, and what would help; with `runners`, tries each built-in one, too,
    which compiles a line of Rust."""
    tiers: dict[str, str] = {}
    tried: dict[str, str] = {}
    for tier, what in TIERS.items():
        try:
            with Sandbox(tier=tier) as sandbox:
                tiers[tier] = f"works: {what}"
                tried = tried or (_runners(sandbox) if runners else {})
        except SandboxUnavailable as error:
            tiers[tier] = f"does not work: {error.__cause__ or error}"
    best: Tier | None = next((tier for tier in TIERS if tiers[tier].startswith("works")), None)
    why = f"tier {best} {tiers[best]}" if best else "no tier works: " + "; ".join(f"tier {tier} {text}" for tier, text in tiers.items())
    return DoctorReport(best, why, "" if best == "A" else better(), tiers, tried)


def _runners(sandbox: Sandbox) -> dict[str, str]:
    """What each built-in runner says to a program of one line."""
    found = {"python": f"works: Python {platform.python_version()}"}
    tried: tuple[tuple[str, str, object], ...] = (
        ("rust", "pub fn answer() -> i32 { 42 }", {"call": "answer", "args": []}),
        ("shell", "printf 42", {}),
    )
    for name, program, value in tried:
        try:
            version = sandbox.jails.toolchain(name).version
            [result] = sandbox.evaluate(name, program, [value])
            works = isinstance(result, Value) and "42" in str(result.value)
            found[name] = f"works: {version}" if works else f"does not work: {version} gave {result}"
        except (SandboxUnavailable, ToolchainMissing) as error:
            found[name] = f"does not work: {error}"
    return found
