"""The small world, as commands find it."""

from pathlib import Path

import pytest

from castalia.workspace import Workspace
from small_world import world
from tiny_models import base, tiny_source, tokenizer

__all__ = ["base", "made", "tiny_source", "tokenizer"]


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """The small world, in the working folder."""
    workspace = world(tmp_path)
    monkeypatch.chdir(tmp_path)
    return workspace
