"""What an interrupted command leaves behind, in words."""

import argparse
from pathlib import Path

from castalia.cli.common import workspace_of
from castalia.errors import CastaliaError
from castalia.training.recipe import STAGES
from castalia.workspace import Workspace


def done_so_far(options: argparse.Namespace) -> str:
    """What is done, with a separator after it; empty before anything was done, and for a command that has no workspace."""
    try:
        if "urls" in options:
            return _archived(options.out / "work" / "archive")
        return _in_words(_workspace(options)) if "config" in options or "data_only" in options else ""
    except CastaliaError:
        return ""  # stopped before there was anything to tell of


def _archived(folder: Path) -> str:
    from castalia.web.archive import Archive

    archive = Archive(folder, read_only=True)
    try:
        return f"{archive.count()} answers of hosts are in the archive and are not asked for again, "
    finally:
        archive.close()


def _workspace(options: argparse.Namespace) -> Workspace:
    if "data_only" in options:
        from castalia.cli.start import demo_workspace

        return demo_workspace(options)
    return workspace_of(options)


def _in_words(workspace: Workspace) -> str:
    done = [stage.name for stage in workspace.stages if all(workspace.store.has(name) for name in stage.writes)]
    said = f"{len(done)} of {len(workspace.stages)} stages have written their datasets, " if done else ""
    begun = max(workspace.training.glob("round-*"), key=lambda folder: int(folder.name.rpartition("-")[2]), default=None)
    trained = [stage for stage in STAGES if begun is not None and (begun / stage / "stage.json").is_file()]
    return said + (f"{begun.name} has trained {', '.join(trained)}, " if begun is not None and trained else "")
