"""What the sandbox holds and what it costs: a battery of attacks as root and as an ordinary user, starts, gradings per second.

The battery runs in every tier that works here. Starts are wall-clock from asking for a jail to a jail that says it is confined;
gradings run as many at a time as `Sandbox.each` runs, so they use all cores. Without root, only the ordinary user is measured.
"""

import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.sandbox_battery import run_battery
from castalia.errors import SandboxUnavailable
from castalia.sandbox import Case, Limits, Sandbox, doctor
from castalia.sandbox.interpreter import make_farm, this_interpreter

_ROOT = Path(__file__).parents[1]
_TESTS = "def check(candidate):\n" + "".join(f"    assert candidate({list(range(n))!r}) == {sum(range(n))}\n" for n in range(7))
_PYTHON = """from typing import List


def total(numbers: List[int]) -> int:
    result = 0
    for number in numbers:
        result += number
    return result
"""
_RUST = """fn total(numbers: Vec<i32>) -> i32 {
    let mut result = 0;
    for number in &numbers {
        result += number;
    }
    result
}
"""
_RUST_CASES = [Case("total", (list(range(n)),), expected=sum(range(n))) for n in range(7)]


def run(gold: Path | None, quick: bool) -> Mapping[str, Any]:
    """The figures; `gold` is not needed."""
    del gold
    report = doctor(runners=True)
    if report.tier is None:
        return {"figures": {}, "nulls": {"attacks": report.why}}
    nulls: dict[str, str] = {}
    batteries = _batteries(report.tiers, quick, nulls)
    escapes = [f"tier {one['tier']}, user {one['user']}: {what}" for one in batteries for what in one["escapes"]]
    touched = [f"tier {one['tier']}, user {one['user']}: {what}" for one in batteries for what in one["touched"]]
    print("\n".join([*escapes, *touched]) or f"{len(batteries)} batteries held")
    figures: dict[str, Any] = {
        "tier": report.tier, "attacks": max(one["attacks"] for one in batteries),
        "attack_runs": sum(one["attacks"] for one in batteries), "escapes": len(escapes),
        "canaries_intact": not touched, "survivors": sum(one["survivors"] for one in batteries),
    }  # fmt: skip
    with Sandbox() as sandbox:
        figures |= _starts(sandbox, 20 if quick else 100, "start_ms")
        figures["python_gradings_per_s"] = _python_rate(sandbox, 60 if quick else 400)
        if report.runners["rust"].startswith("works"):
            figures["rust_gradings_per_s"] = _rust_rate(sandbox, 6 if quick else 40)
        else:
            figures["rust_gradings_per_s"] = None
            nulls["rust_gradings_per_s"] = report.runners["rust"]
    with Sandbox(warm=2) as sandbox:
        figures |= _starts(sandbox, 20 if quick else 100, "warm_start_ms", pause=0.15)
    return {"figures": figures, "nulls": nulls}


def _batteries(tiers: Mapping[str, str], quick: bool, nulls: dict[str, str]) -> list[dict[str, Any]]:
    working = [tier for tier, text in tiers.items() if text.startswith("works")]
    crowd, every = (12, 4) if quick else (200, 1)
    found: list[dict[str, Any]] = []
    for tier in working[:1] if quick else working:
        with Sandbox(tier="A" if tier == "A" else "B") as sandbox:
            found.append(run_battery(sandbox, crowd=crowd, every=every))
    if os.geteuid() != 0:
        nulls["as root"] = "this is an ordinary user"
        return found
    for tier in working[:1] if quick else working:
        result = _as_ordinary_user({"tier": tier, "crowd": crowd, "every": every})
        if "unavailable" in result:
            nulls[f"as an ordinary user in tier {tier}"] = result["unavailable"]
        else:
            found.append(result)
    return found


def _as_ordinary_user(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The battery run by a user without rights, with a Python of their own."""
    site = Path(pytest.__file__).parent.parent
    if not all(folder.stat().st_mode & 0o001 for folder in (*site.parents, *_ROOT.parents)):
        return {"unavailable": "an ordinary user can't reach this checkout"}
    with tempfile.TemporaryDirectory(prefix="ordinary-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        make_farm(this_interpreter(), folder / "python")
        (folder / "tmp").mkdir()
        (folder / "tmp").chmod(0o777)
        environment = {
            "PYTHONHOME": str(folder / "python"), "LD_LIBRARY_PATH": str(folder / "python/lib"), "TMPDIR": str(folder / "tmp"),
            "PYTHONPATH": f"{_ROOT}:{_ROOT / 'src'}:{site}", "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip
        done = subprocess.run(
            [str(folder / "python/bin/python"), "-m", "benchmarks.sandbox_battery", json.dumps(dict(arguments))],
            env=environment, user=54321, group=54321, extra_groups=[], capture_output=True, text=True, check=False, cwd="/",
        )  # fmt: skip
    if done.returncode != 0:
        raise SandboxUnavailable(f"the battery of the ordinary user ended with {done.returncode}: {done.stderr[-1000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _starts(sandbox: Sandbox, count: int, name: str, pause: float = 0.0) -> dict[str, float]:
    taken: list[float] = []
    for _ in range(count + 1):
        time.sleep(pause)
        began = time.perf_counter()
        with sandbox.jails.talk("def serve(task): pass", lambda _: {}, Limits()):
            taken.append(1000 * (time.perf_counter() - began))
    cuts = statistics.quantiles(taken[1:], n=20)  # the first one finds cold files
    return {f"{name}_p50": round(statistics.median(taken[1:]), 1), f"{name}_p95": round(cuts[18], 1)}


def _python_rate(sandbox: Sandbox, count: int) -> float:
    return _rate(sandbox, [lambda: sandbox.grade_python(_PYTHON, _TESTS, entry_point="total").passed] * count)


def _rust_rate(sandbox: Sandbox, count: int) -> float:
    sandbox.grade_rust(_RUST, _RUST_CASES)  # what is built once per sandbox
    programs = [f"{_RUST}// {number}\n" for number in range(count)]  # all different, as an equal one is not built again
    return _rate(sandbox, [lambda program=program: sandbox.grade_rust(program, _RUST_CASES).passed for program in programs])


def _rate(sandbox: Sandbox, gradings: Sequence[Any]) -> float:
    began = time.perf_counter()
    passed = sandbox.each(gradings)
    rate = len(gradings) / (time.perf_counter() - began)
    if not all(passed):
        raise SandboxUnavailable(f"{passed.count(False)} of {len(passed)} right programs were not accepted, so their rate says nothing")
    return round(rate, 2)
