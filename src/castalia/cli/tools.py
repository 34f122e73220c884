"""Commands about the tools: the oracle's ledger, the sandbox, Harmony files, and everything stored."""

import argparse
from pathlib import Path

from castalia.cli.common import print_facts, print_table, workspace_of
from castalia.errors import InputError, SandboxUnavailable, StoreError
from castalia.workspace import Workspace


def oracle(options: argparse.Namespace) -> int:
    """Usage by stage, role and model; or one of the actions."""
    from castalia.cli.data import usage_rows
    from castalia.oracle import open_ledger

    workspace = workspace_of(options)
    if options.export:
        return _export_tasks(workspace, options.export)
    if options.import_file:
        return _import_answers(workspace, options.import_file)
    if not workspace.ledger.is_file():
        raise InputError(f"there is no ledger yet at {str(workspace.ledger)!r}; `castalia run` makes one")
    with open_ledger(workspace.ledger, readonly=True) as ledger:
        if options.verify:
            checked = ledger.verify()
            if checked.problems:
                raise StoreError(f"the ledger was edited: {'; '.join(checked.problems[:5])}")
            print_facts([{"verified": checked.done}]) if options.json else print(f"{checked.done} answers, the chain is whole")
            return 0
        if options.in_doubt:
            doubtful = [doubt._asdict() for doubt in ledger.in_doubt()]
            print_facts(doubtful)
            if not options.json and not doubtful:
                print("no call is in doubt")
            return 0
    rows = usage_rows(workspace)
    if options.json:
        print_facts(rows)
    elif rows:
        print_table(list(rows[0]), (list(row.values()) for row in rows))
    else:
        print("no calls yet")
    return 0


def _export_tasks(workspace: Workspace, file: Path) -> int:
    """The open tasks of the last run: a batch file for a batch server, else lines for a person to answer."""
    batch = workspace.folder / "pending.batch.jsonl"
    waiting = next((path for path in (workspace.pending, batch) if path.is_file() and path.stat().st_size), None)
    if waiting is None:
        raise InputError("no task waits for an answer: the last run found them all, or there was none")
    file.write_bytes(waiting.read_bytes())
    how = "run it as an OpenAI batch" if waiting == batch else "put an `answer` into every line"
    print(f"wrote {file}; {how}, then: castalia oracle --import {file}")
    return 0


def _import_answers(workspace: Workspace, file: Path) -> int:
    """Batch results go into the ledger; answers of a person go to the recordings of the configuration."""
    from castalia.oracle import import_recordings, open_ledger
    from castalia.oracle.providers.batch_file import import_results

    roles = workspace.config.oracles.values()
    if any(role.provider == "batch_file" for role in roles):
        with open_ledger(workspace.ledger) as ledger:
            print(import_results(ledger, file))
        return 0
    folders = sorted({role.recordings for role in roles if role.provider == "recorded" and role.recordings})
    if len(folders) != 1:
        raise InputError(f"answers are added to the recordings of the configuration, which names {len(folders)} folders; it must name one")
    print(f"added {import_recordings(file, Path(folders[0]))} answers to {folders[0]}")
    return 0


def verify(options: argparse.Namespace) -> int:
    """Re-reads store, ledger and releases. Raises StoreError when anything is not what was written."""
    from castalia.oracle import open_ledger
    from castalia.release import all_releases, verify_release

    workspace = workspace_of(options)
    found = workspace.store.verify()
    problems = [f"{problem.place}: {problem.what}" for problem in found]
    answers = 0
    if workspace.ledger.is_file():
        with open_ledger(workspace.ledger, readonly=True) as ledger:
            checked = ledger.verify()
            answers = checked.done
            problems += [f"ledger: {problem}" for problem in checked.problems]
    releases = all_releases(workspace.releases)
    for folder in releases:
        problems += [f"release {folder.name}: {problem}" for problem in verify_release(folder)]
    facts = {"datasets": len(workspace.store.names()), "answers": answers, "releases": len(releases), "problems": problems}
    if problems:
        damaged = {problem.place for problem in found}
        stages = [f"--rebuild {stage.name}" for stage in workspace.stages if damaged & stage.outputs.keys()]
        cure = f". Make them again from what is paid already: castalia run {' '.join(stages)}" if stages else ""
        raise StoreError(f"{len(problems)} stored things are not what was written: {'; '.join(problems[:5])}{cure}")
    print_facts([facts]) if options.json else print(
        f"{facts['datasets']} datasets, {answers} answers and {len(releases)} releases are as written"
    )
    return 0


def sandbox(options: argparse.Namespace) -> int:
    """Which isolation this machine gives. Exit code 7 when none."""
    from castalia.sandbox import doctor

    report = doctor()
    print_facts([report._asdict()]) if options.json else print(report)
    return 0 if report.tier else SandboxUnavailable.exit_code


def harmony(options: argparse.Namespace) -> int:
    """Checks a JSONL file of conversations. Exit code 3 when a finding is an error."""
    from castalia.harmony import lint_file

    report = lint_file(options.file, options.max_tokens)
    if options.json:
        print_facts([report.model_dump(mode="json")])
    else:
        print_table(
            ("line", "severity", "code", "finding"),
            ((finding.line, finding.severity, finding.code, finding.message) for finding in report.findings),
        )
        share = "nothing to emit" if report.coverage is None else f"{100 * report.coverage:.2f} % of what the model emits is trained"
        print(f"{report.lines} conversations, {report.samples} samples: {share}")
    return 0 if report.ok else 3
