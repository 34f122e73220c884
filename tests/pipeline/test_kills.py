"""SIGKILL at any moment: the next run goes on, asks for nothing twice, and the release has the same bytes."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

from pegboard_world import Finished, World, finish, finished_with, kill, kill_when, make_world, pages, serve, started, wait_until


def test_a_run_killed_again_and_again_ends_with_the_bytes_of_an_uninterrupted_one(finished: Finished, tmp_path: Path):
    with serve(pages()) as site:
        world = make_world(tmp_path / "world", site)
        kill_when(world.start("run", "--json"), started("design_suite"))
        site.stall_after = 5
        child = world.start("run", "--json")
        wait_until(lambda: site.asked.total() > 5)
        time.sleep(0.5)  # what was answered reaches the archive; the others still wait
        kill(child)
        answered = dict(site.answered)
        assert 0 < len(answered) < len(finished.asked), "the kill was to fall into the middle of collecting"
        site.stall_after = None
        for moment in (finished_with("extract"), started("build_preferences"), started("verify")):
            kill_when(world.start("run", "--json"), moment)
        world.run("run")
        [made] = world.run("release", "--json").facts
        assert made["new"]
        assert world.lock() == finished.world.lock()
        assert {path: site.asked[path] for path in answered} == answered, "a page that had come was asked for again"
        assert set(site.asked) == set(finished.asked)
        assert "the chain is whole" in world.run("oracle", "--verify").out


def test_a_killed_release_leaves_none_and_the_next_is_the_same(finished: Finished, copy_of: Callable[[World], World]):
    world = copy_of(finished.world)
    folder = world.work / "releases"
    (folder / "pegboard@v1").rename(folder / "earlier")
    child = world.start("release")
    wait_until(lambda: any(path.name.startswith(".") for path in folder.iterdir()) or child.poll() is not None)
    child.kill()
    child.communicate()
    whole = [path.name for path in folder.glob("*@v*") if not path.name.startswith(".")]
    assert whole in ([], ["pegboard@v1"])
    world.run("release")
    assert world.lock() == (folder / "earlier" / "lock.json").read_bytes()
    assert not list(folder.glob(".*")), "what was left unfinished is gone"


def test_an_interrupted_run_ends_at_once_and_names_the_command_that_goes_on(tmp_path: Path):
    with serve(pages()) as site:
        world = make_world(tmp_path / "world", site)
        site.stall_after = 5
        child = world.start("run", "--until", "collect")
        wait_until(lambda: site.asked.total() > 5)
        child.send_signal(signal.SIGINT)
        said = finish(child, expect=130, seconds=20)
        assert "castalia run --until collect" in said.err
        assert "Traceback" not in said.err
        site.stall_after = None
        world.run("run", "--until", "collect")
