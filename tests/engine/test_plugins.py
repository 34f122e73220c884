"""Plug-ins of other packages, found by entry points."""

import sys
from pathlib import Path

import pytest

from castalia.engine import load_plugin, plugin_stages
from castalia.errors import ConfigError

STAGE_MODULE = """
from castalia.engine import Params, Stage
from castalia.records import Query

class P(Params):
    "No settings."

def run(inputs, params, ctx):
    yield from ()

STAGE = Stage("toy", 1, run, P, {}, {"toy_queries": Query}, "whole")
NUMBER = 7
"""


def install(folder: Path, name: str, entry_points: str) -> None:
    """A distribution as an installer would leave it."""
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "toy_plugin.py").write_text(STAGE_MODULE)
    (tmp_path / "toy_broken.py").write_text("import nothing_of_this_name\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "toy_plugin", raising=False)
    return tmp_path


def test_an_installed_stage_is_found_by_its_entry_point(site):
    install(site, "toy-dist", "[castalia.stages]\ntoy = toy_plugin:STAGE\n")
    assert "toy" in [stage.name for stage in plugin_stages()]


def test_finding_plugins_imports_none_of_them(site):
    install(site, "toy-dist", "[castalia.checks]\ntoy = toy_broken:CHECK\n")
    with pytest.raises(ConfigError, match=r"no plug-in 'absent'.*installed there: .*'toy'"):
        load_plugin("castalia.checks", "absent")
    assert "toy_broken" not in sys.modules


@pytest.mark.parametrize(
    ("target", "problem"),
    [("toy_broken:STAGE", "ModuleNotFoundError"), ("toy_plugin:NOTHING", "AttributeError"), ("toy_plugin:NUMBER", "a stage is needed")],
)
def test_a_broken_plugin_names_its_distribution(site, target: str, problem: str):
    install(site, "toy-dist", f"[castalia.stages]\ntoy = {target}\n")
    with pytest.raises(ConfigError, match=f"'toy' of distribution 'toy-dist'.*{problem}"):
        plugin_stages()


def test_two_plugins_of_one_name_are_refused(site):
    install(site, "toy-dist", "[castalia.checks]\ntoy = toy_plugin:NUMBER\n")
    install(site, "other-dist", "[castalia.checks]\ntoy = toy_plugin:STAGE\n")
    with pytest.raises(ConfigError, match=r"offered by distribution '.*-dist' and distribution '.*-dist'"):
        load_plugin("castalia.checks", "toy")


def test_an_absent_plugin_is_answered_with_those_that_are_there(site):
    install(site, "toy-dist", "[castalia.checks]\ntoy = toy_plugin:NUMBER\n")
    assert load_plugin("castalia.checks", "toy") == 7
    with pytest.raises(ConfigError, match=r"no plug-in 'tow' .*'toy'"):
        load_plugin("castalia.checks", "tow")
