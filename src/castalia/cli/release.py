"""Commands about releases: release, export, diff, rebuild."""

import argparse
import asyncio

from castalia.cli.common import plain, print_facts, print_table, workspace_of
from castalia.cli.progress import show_progress
from castalia.errors import ReleaseRefused

_MOST_LINES = 20


def release(options: argparse.Namespace) -> int:
    """Freezes what passed."""
    from castalia.workspace import make_release

    workspace = workspace_of(options)
    made = make_release(workspace, options.name)
    if options.json:
        print_facts(
            [{"release": made.name, "folder": str(made.folder), "records": dict(made.records), "kept_out": made.kept_out, "new": made.new}]
        )
        return 0
    counts = ", ".join(f"{count} {dataset}" for dataset, count in made.records.items())
    why = " (castalia status says why)" if made.kept_out else ""
    print(
        f"{made.name}: {counts}; {made.kept_out} kept out by quality control and the mix{why}"
        if made.new
        else f"{made.name} already holds exactly this: {counts}"
    )
    print(f"in {made.folder}")
    return 0


def export(options: argparse.Namespace) -> int:
    """Copies a release in another layout."""
    from castalia.release.export import export_release

    workspace = workspace_of(options)
    written = export_release(workspace.releases, options.release, options.to, options.out)
    print_facts([{"files": written}]) if options.json else print(f"{len(written)} files in {options.out}")
    return 0


def diff(options: argparse.Namespace) -> int:
    """Compares two releases."""
    from castalia.release import compare_releases, find_release

    releases = workspace_of(options).releases
    before = find_release(releases, options.before)
    after = find_release(releases, options.after or before.name.rpartition("@v")[0])
    found = compare_releases(before, after)
    if options.json:
        print_facts([{"before": before.name, "after": after.name, **found._asdict(), "records": [c._asdict() for c in found.records]}])
        return 0
    print(f"{before.name} -> {after.name}{': the same records, made in the same way' if found.same else ''}")
    print_table(
        ("dataset", "before", "after", "added", "removed", "changed"),
        (
            (c.dataset, c.before, c.after, len(c.added) - len(c.changed), len(c.removed) - len(c.changed), len(c.changed))
            for c in found.records
        ),
    )
    for title, lines in (
        ("changed", [line for change in found.records for line in change.changed]),
        ("left out by the mix", [line for change in found.records for line in change.why]),
        ("sources added", found.sources_added),
        ("sources removed", found.sources_removed),
        ("settings", found.settings),
        ("balance", found.figures),
    ):
        if lines:
            print(f"\n{title}")
            print(plain("\n".join(f"  {line}" for line in lines[:_MOST_LINES])))
            if len(lines) > _MOST_LINES:
                print(f"  and {len(lines) - _MOST_LINES} more: --json has all")
    return 0


def rebuild(options: argparse.Namespace) -> int:
    """Makes a release again, offline. Raises ReleaseRefused where a file does not say the same."""
    from castalia.rebuild import rebuild_release

    workspace = workspace_of(options)
    with show_progress(as_json=options.json) as listener:
        rebuilt = asyncio.run(rebuild_release(workspace, options.release, on_event=listener))
    if options.json:
        named = {name: list(getattr(rebuilt, name)) for name in ("different", "rewritten", "versions")}
        print_facts([{"release": rebuilt.release, "files": rebuilt.files, "same": rebuilt.same, **named}])
    if rebuilt.different:
        shown = "; ".join(rebuilt.different[:5])
        raise ReleaseRefused(
            f"made again, {rebuilt.release!r} differs in {len(rebuilt.different)} places: {shown}. Either the settings, the code or a tool "
            f"that runs code changed since, or archive and ledger are not those it was made with"
            + (f"; versions changed, too: {', '.join(rebuilt.versions)}" if rebuilt.versions else "")
        )
    if not options.json:
        how = (
            f"every byte the same in {rebuilt.files - len(rebuilt.rewritten)} of them, every row and setting in the others: only the versions that "
            f"wrote them differ ({', '.join(rebuilt.versions)})"
            if rebuilt.rewritten
            else "every byte the same"
        )
        print(f"{rebuilt.release}: {rebuilt.files} files made again from archive and ledger, {how}")
    return 0
