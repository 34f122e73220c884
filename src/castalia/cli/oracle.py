"""`castalia oracle`: what the answers cost, what is in doubt, whether anything was edited, and answers in and out by file."""

import argparse
import codecs
import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from castalia.cli.batches import batch_facts, print_batches, wait_for_batches
from castalia.cli.common import print_facts, print_table, short_moment, this_command, workspace_of
from castalia.errors import InputError, StoreError
from castalia.oracle import Doubt, Ledger, Money, UsageRow, open_ledger
from castalia.workspace import Workspace

if TYPE_CHECKING:
    from castalia.oracle.providers.batch_file import Imported

ALL = "all"
SHOWN_DOUBTS = 20
SHORT_KEY = 12


def oracle(options: argparse.Namespace) -> int:
    """Usage by stage, role and model; or the one action that was asked for."""
    workspace = workspace_of(options)
    if options.export:
        return _export_tasks(workspace, options)
    if options.import_file:
        return _import_answers(workspace, options)
    if options.wait:
        return wait_for_batches(workspace, options)
    if not workspace.ledger.is_file():
        if options.ask_again or options.drop or options.verify or options.record:
            raise InputError(f"there is no ledger yet at {str(workspace.ledger)!r}; `castalia run` makes one with its first call")
        print_facts([]) if options.json else print("no calls yet; see what they would cost with: castalia plan")
        return 0
    if options.ask_again or options.drop:
        return _settle(workspace, options)
    with open_ledger(workspace.ledger, readonly=True) as ledger:
        if options.verify:
            return _verify(ledger, options)
        if options.in_doubt:
            return _print_doubts(ledger.in_doubt(), options)
        if options.record:
            return _record(ledger, options)
        return _print_usage(ledger, workspace, options)


# Usage


def _print_usage(ledger: Ledger, workspace: Workspace, options: argparse.Namespace) -> int:
    rows, money, counts = ledger.usage(), ledger.money(), ledger.counts()
    budget = workspace.config.execution.budget_usd
    batches = ledger.submissions(living=True)
    if options.json:
        print_facts({"usage": row._asdict()} for row in rows)
        print_facts({"batch": batch_facts(ledger, batch)} for batch in batches)
        print_facts({"failed": one._asdict()} for one in ledger.failures())
        print_facts([{"money": {**money._asdict(), "budget": budget}}, {"calls": counts}])
        return 0
    if not rows and not counts:
        print("no calls yet; see what they would cost with: castalia plan")
        return 0
    head = ("stage", "role", "model", "calls", "cached", "repairs", "failed", "tokens in", "from cache", "tokens out", "reasoning", "usd")
    table = [_usage_cells(row) for row in rows]
    if len(rows) > 1:
        table.append(_usage_cells(_sum(rows)))
    print_table(head, table)
    equivalent = sum(row.usd_equivalent for row in rows) - sum(row.usd for row in rows)
    if equivalent > 0:
        name = next(row.equivalent_price for row in rows if row.equivalent_price)
        print(f"\nunpaid answers would have cost about {usd(equivalent)} at the price of {name}")
    print(f"\n{_money_line(money, budget)}")
    waiting = {state: counts[state] for state in ("planned", "sent", "failed") if counts.get(state)}
    if waiting:
        print("not answered: " + ", ".join(f"{count:,} {state}" for state, count in waiting.items()))
    if counts.get("failed"):
        print("\ncalls that were given up, most frequent reasons first; a run that needs them asks again")
        print_table(
            ("calls", "stage", "e.g.", "reason"),
            (
                (f"{one.calls:,}", one.stage, _short(f"{one.prompt} {one.subject}", 48), _short(one.reason, 120))
                for one in ledger.failures()
            ),
        )
    if batches:
        print("\nbatches under way")
        print_batches(ledger, batches, options)
    if money.in_doubt or counts.get("in_doubt"):
        print(f"some calls are in doubt; what to do: {this_command(options, '--in-doubt')}")
    return 0


def _sum(rows: Sequence[UsageRow]) -> UsageRow:
    numbers = {
        name: sum(getattr(row, name) for row in rows) for name in UsageRow._fields if isinstance(getattr(rows[0], name), int | float)
    }
    return rows[0]._replace(stage="all", role="", provider="", model="", **numbers)


def _usage_cells(row: UsageRow) -> tuple[str, ...]:
    counts = (row.calls, row.cached, row.repairs, row.failed, row.tokens_in, row.tokens_cached, row.tokens_out, row.tokens_reasoning)
    return (row.stage, row.role, row.model, *(f"{count:,}" for count in counts), usd(row.usd))


def _money_line(money: Money, budget: float | None) -> str:
    parts = [f"{usd(money.spent)} paid"]
    parts += [f"{usd(money.in_flight)} reserved in flight"] if money.in_flight else []
    parts += [f"{usd(money.in_doubt)} set aside for calls in doubt"] if money.in_doubt else []
    parts += [f"{usd(money.written_off)} for answers that were billed and lost"] if money.written_off else []
    left = "no budget is set (execution.budget_usd)" if budget is None else f"{usd(budget - sum(money))} left of {usd(budget)}"
    return ", ".join(parts) + "; " + left


def usd(amount: float) -> str:
    """Money with as many digits as it needs: cents, or four digits below a dollar."""
    return f"${amount:,.2f}" if abs(amount) >= 1 or amount == 0 else f"${amount:.4f}"


# Doubt


def _print_doubts(doubts: Sequence[Doubt], options: argparse.Namespace) -> int:
    if options.json:
        print_facts({**doubt._asdict(), "what_to_do": _advice(doubt)} for doubt in doubts)
        return 0
    if not doubts:
        print("no call is in doubt")
        return 0
    shown = doubts[:SHOWN_DOUBTS]
    print_table(
        ("call", "sent (UTC)", "stage", "about", "model", "at most", "request id", "what is known", "what happens"),
        (
            (
                doubt.key[:SHORT_KEY], short_moment(doubt.sent_at), doubt.stage,
                _short(f"{doubt.prompt} {doubt.subject}", 48), doubt.model, usd(doubt.worst_usd), doubt.request_id or "-",
                _short(doubt.detail or doubt.outcome, 60), _advice(doubt),
            )
            for doubt in shown
        ),
    )  # fmt: skip
    more = (
        f" (the first {len(shown)} are shown; all of them: {this_command(options, '--in-doubt --json')})"
        if len(doubts) > len(shown)
        else ""
    )
    total = sum(doubt.worst_usd for doubt in doubts)
    print(
        f"\n{len(doubts)} {'request' if len(doubts) == 1 else 'requests'} may have been billed though no answer came{more}; {usd(total)} of "
        f"the budget is set aside for them.\nNothing has to be done. To free the money, look for these times and request ids on the "
        f"provider's bill:\n"
        f"  not there: {this_command(options, '--ask-again CALL')}    its money is free again, and a run that needs the answer asks for it\n"
        f"  there:     {this_command(options, '--drop CALL')}    its worst case counts as spent, and it is given up\n"
        f"CALL is a key as shown, or {ALL!r}."
    )
    return 0


def _advice(doubt: Doubt) -> str:
    if doubt.state == "done":
        return "answered by a later request"
    return "the next run that needs it asks again"


def _settle(workspace: Workspace, options: argparse.Namespace) -> int:
    with open_ledger(workspace.ledger) as ledger:
        doubts = ledger.in_doubt()
        settled = 0
        for names, billed in ((options.ask_again, False), (options.drop, True)):
            for key in _keys(names, doubts):
                settled += ledger.settle(key, billed=billed)
        money = ledger.money()
    if options.json:
        print_facts([{"settled": settled, "in_doubt": money.in_doubt, "written_off": money.written_off}])
    else:
        print(f"settled {settled} {'request' if settled == 1 else 'requests'}; {usd(money.in_doubt)} still set aside for calls in doubt")
    return 0


def _keys(names: Sequence[str], doubts: Sequence[Doubt]) -> list[str]:
    """The keys that are meant, each once. Raises InputError for a name that fits none or several of the doubtful calls."""
    doubtful = list(dict.fromkeys(doubt.key for doubt in doubts))
    found: dict[str, None] = {}
    for name in names:
        fitting = doubtful if name == ALL else [key for key in doubtful if key.startswith(name)]
        if name != ALL and len(fitting) != 1:
            raise InputError(
                f"{len(fitting) or 'no'} calls in doubt have a key that starts with {name!r}; `castalia oracle --in-doubt` lists them"
            )
        found.update(dict.fromkeys(fitting))
    return list(found)


# Verification


def _verify(ledger: Ledger, options: argparse.Namespace) -> int:
    checked = ledger.verify()
    if checked.problems:
        more = f" (and {len(checked.problems) - 5} more)" if len(checked.problems) > 5 else ""
        raise StoreError(
            f"ledger {str(ledger.path)!r} was edited: {'; '.join(checked.problems[:5])}{more}. Put back the file from before; "
            f"what a record was made from is shown by `castalia trace RECORD`"
        )
    print_facts([{"verified": checked.done, "head": checked.head}]) if options.json else print(
        f"{checked.done:,} answers, each as it was received; the chain is whole and ends at {checked.head[:SHORT_KEY] or 'its beginning'}"
    )
    return 0


# Answers by file


def _export_tasks(workspace: Workspace, options: argparse.Namespace) -> int:
    """The open tasks of the last run: a batch file for a batch server, else lines for a person to answer."""
    from castalia.oracle.providers.batch_file import export_pending

    file: Path = options.export
    count, how = 0, ""
    if workspace.ledger.is_file():
        with open_ledger(workspace.ledger, readonly=True) as ledger:
            count = _writing(file, lambda: export_pending(ledger, file))
        how = "have it answered as an OpenAI batch (`vllm run-batch`, a batch API)"
    if not count and workspace.pending.is_file() and workspace.pending.stat().st_size:
        data = workspace.pending.read_bytes()
        _writing(file, lambda: file.write_bytes(data))
        count, how = data.count(b"\n"), "put an `answer` into every line"
    if not count:
        raise InputError("no task waits for an answer: the last run found them all, or there was none")
    if options.json:
        print_facts([{"wrote": str(file), "tasks": count}])
    else:
        print(f"wrote {count:,} tasks to {file}; {how}, then: {this_command(options, f'--import {shlex.quote(str(file))}')}")
    return 0


def _writing(file: Path, write: Any) -> int:
    try:
        return int(write())
    except OSError as error:
        raise InputError(f"{str(file)!r} can't be written: {error.strerror}; name a file in a writable folder") from error


def _import_answers(workspace: Workspace, options: argparse.Namespace) -> int:
    """Batch results go into the ledger that asked for them; answers of a person go to the recordings of the configuration."""
    from castalia.oracle import import_recordings
    from castalia.oracle.providers.batch_file import import_results

    file: Path = options.import_file
    if _is_batch(file):
        if not workspace.ledger.is_file():
            raise InputError(f"{str(file)!r} holds batch results, and there is no ledger at {str(workspace.ledger)!r} that asked for them")
        with open_ledger(workspace.ledger) as ledger:
            done = import_results(ledger, file)
        return _tell_import(done, file, options)
    folders = sorted({role.recordings for role in workspace.config.oracles.values() if role.provider == "recorded" and role.recordings})
    if len(folders) != 1:
        raise InputError(
            f"{str(file)!r} holds recorded answers; they are added to the recordings of the configuration, which names {len(folders)} folders "
            f"(`provider: recorded`, `recordings: FOLDER`); it must name one"
        )
    added = import_recordings(file, Path(folders[0]))
    print_facts([{"added": added, "folder": folders[0]}]) if options.json else print(
        f"added {added:,} answers to {folders[0]}; go on with: castalia run"
    )
    return 0


def _tell_import(done: "Imported", file: Path, options: argparse.Namespace) -> int:
    """What became of the results. Lines that can't be used end the command with an error, once the others are filed."""
    if options.json:
        print_facts([done._asdict()])
    else:
        print(
            f"{done.answered:,} answers filed, {done.already:,} were there already, {done.failed:,} failed, {done.waiting:,} calls still wait; "
            f"{_go_on(done, options)}"
        )
        for names, words in (
            (done.foreign, "are for calls that this ledger never asked by file, and were left out"),
            (done.repeated, "are second answers to the same call; the first ones count"),
        ):
            if names:
                print(f"{len(names):,} results {words}, e.g. {names[0]!r}")
    if done.unreadable:
        more = f" (and {len(done.unreadable) - 5} more lines)" if len(done.unreadable) > 5 else ""
        raise InputError(
            f"{len(done.unreadable):,} lines of {str(file)!r} can't be used: {'; '.join(done.unreadable[:5])}{more}. All others were taken in; "
            f"repair or remove these lines and import the file again"
        )
    return 0


def _go_on(done: "Imported", options: argparse.Namespace) -> str:
    if not done.waiting:
        return "go on with: castalia run"
    return (
        f"import the rest when it is there, write the open ones again with {this_command(options, '--export FILE')}, or go on: castalia run"
    )


def _is_batch(file: Path) -> bool:
    """Whether the first line that can be read is a result of an OpenAI batch, or names a call as one would."""
    try:
        with file.open("rb") as lines:
            for line in lines:
                try:
                    return "custom_id" in json.loads(line.removeprefix(codecs.BOM_UTF8))
                except (ValueError, TypeError):
                    if b'"custom_id"' in line:
                        return True
            return False  # the import of recordings names the line and what is wrong with it
    except OSError as error:
        raise InputError(f"{str(file)!r} can't be read: {error.strerror}") from error


def _record(ledger: Ledger, options: argparse.Namespace) -> int:
    """Everything that was answered, as a recording that replays it without key and money."""
    from castalia.oracle.recording import write_recording

    file: Path = options.record
    count = _writing(file, lambda: write_recording(ledger, file))
    if options.json:
        print_facts([{"wrote": str(file), "answers": count}])
    else:
        print(f"wrote {count:,} answers to {file}; a role replays them with: provider: recorded, recordings: {file.parent}")
    return 0


def _short(text: str, width: int) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 3] + "..."
