"""The pegboard world: served once, run once, and copied for every test that wants to break something."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pegboard_world import Finished, Site, World, make_world, pages, serve

from tiny_models import tiny_source, tokenizer

__all__ = ["copy_of", "finished", "site", "tiny_source", "tokenizer"]


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    with serve(pages()) as served:
        yield served


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finished]:
    with serve(pages()) as own:
        world = make_world(tmp_path_factory.mktemp("finished"), own)
        plan, run, release = (world.run(command, "--json") for command in ("plan", "run", "release"))
        yield Finished(world, plan, run, release, dict(own.asked))


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[World], World]:
    """A world of its own with everything that another one has made."""

    def copy(world: World) -> World:
        return World(shutil.copytree(world.folder, tmp_path / "copy"), world.site)

    return copy
