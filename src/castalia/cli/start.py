"""Commands to begin with: init and demo."""

import argparse
import json
import re
import shlex
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from castalia.errors import InputError

if TYPE_CHECKING:
    from castalia.workspace import Workspace

TEMPLATE = """\
# What Castalia should teach your target. Everything left out has a default; `castalia plan` shows what would run and cost.
name: "{name}"
domain: ""                # in words for the oracle, e.g. "the Rust borrow checker"
target: {{model: openai/gpt-oss-20b}}

oracles:
  # Keys are read from ANTHROPIC_API_KEY or OPENAI_API_KEY, never from here.
  writer: {{provider: anthropic, model: "", temperature: 0.7}}
  # A judge of another family than the writer; any OpenAI-compatible server will do:
  # judge: {{provider: openai, base_url: "http://localhost:8000/v1", model: ""}}
  # The target itself, served, so that rewards and replay are made from its own answers:
  # target: {{provider: openai, base_url: "http://localhost:8001/v1", model: openai/gpt-oss-20b}}

sources:
  sites: []               # URL prefixes, e.g. ["https://docs.example.org/"]
  licences: permissive    # or a list of SPDX ids

execution: {{budget_usd: 20}}
"""


def init(options: argparse.Namespace) -> int:
    """Writes castalia.yaml into a folder; never over an existing one."""
    folder: Path = options.folder
    path = folder / "castalia.yaml"
    if path.exists():
        raise InputError(f"{str(path)!r} exists already; edit it, or name another folder")
    name = re.sub("[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-") or "castalia"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(TEMPLATE.format(name=name), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{str(path)!r} can't be written: {error.strerror}; name a folder you may write to") from error
    where = "" if folder.resolve() == Path.cwd() else f"cd {shlex.quote(str(folder))}, "
    print(
        json.dumps({"wrote": str(path)}) if options.json else f"wrote {path}; fill in domain, model and sites, then: {where}castalia plan"
    )
    return 0


def demo(options: argparse.Namespace) -> int:
    """The main job on embedded defaults."""
    from castalia.cli.common import plain, warn_of_the_judge
    from castalia.cli.progress import show_progress
    from castalia.demo.run import run_demo
    from castalia.summary import summarize
    from castalia.ui.report import write_report

    def say(text: str) -> None:
        print(json.dumps({"message": text}) if options.json else plain(text), flush=True)

    workspace = demo_workspace(options)
    warn_of_the_judge(workspace)
    with show_progress(as_json=options.json) as listener:
        return run_demo(
            workspace,
            options.folder,
            data_only=options.data_only,
            rebuild=options.rebuild,
            keep=options.keep,
            offline=options.offline,
            listener=listener,
            say=say,
            write_report=lambda workspace: write_report(summarize(workspace), workspace.folder / "report.html"),
        )


def demo_workspace(options: argparse.Namespace) -> "Workspace":
    """The workspace that the options of `castalia demo` name."""
    from castalia.demo.run import open_demo

    return open_demo(examples_folder() / "mako", options.folder, options.set)


def examples_folder() -> Path:
    """The shipped examples: inside the installed package, or beside `src` in a checkout. Raises InputError when neither is there."""
    package = Path(str(resources.files("castalia")))
    for candidate in (package / "examples", package.parents[1] / "examples"):
        if (candidate / "mako" / "castalia.yaml").is_file():
            return candidate
    raise InputError(f"the examples are not installed beside {str(package)!r}; reinstall castalia")
