"""Progress of a run: bars and one live line of the oracle for people, lines where there is no terminal, JSON for machines."""

import dataclasses
import json
import sys
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from castalia.engine import Event, OracleAsking, OracleStopping, StageAdvanced, StageFinished, StageSkipped, StageStarted
from castalia.training.stage import TrainingEvent

Listener = Callable[[Any], None]

QUIET_SECONDS = 10.0
"""Where there is no terminal, at most one line in so many seconds inside a long stage."""


@contextmanager
def show_progress(*, as_json: bool) -> Generator[Listener]:
    """A listener for engine events, until the run ends."""
    if as_json:
        yield _print_json
        return
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines()
        return
    columns = (
        TextColumn("{task.description:18}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with _Screen(*columns, console=console) as progress:
        yield _Bars(progress)


def oracle_line(event: OracleAsking) -> str:
    """Rate, money, time left and what limits the speed, in one line."""
    left = "" if event.usd_left is None else f", ${max(0.0, event.usd_left):,.2f} left"
    waiting = f", {event.waiting:,} waiting" if event.waiting else ""
    time_left = "" if event.seconds_left is None else f" · {event.stage} {_duration(event.seconds_left)} left"
    cached = f" ({event.cached:,} more from the ledger)" if event.cached else ""
    return (
        f"oracle: {event.calls:,} calls{cached}, {event.calls_per_second:,.1f}/s, {event.tokens_per_second:,.0f} tokens/s · "
        f"${event.usd:,.4f} spent{left} · {event.in_flight:,} in flight{waiting}, limited by {event.limit}{time_left}"
    )


def stopping_line(event: OracleStopping) -> str:
    """What happens after Ctrl-C."""
    calls = "1 call" if event.in_flight == 1 else f"{event.in_flight:,} calls"
    return (
        f"stopping: {calls} in flight, waited for at most {event.seconds:.0f} s so that what is paid is kept; Ctrl-C again leaves at once"
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


class _Screen(Progress):
    """Bars, and below them the line of the oracle while it is asked."""

    line = ""

    def get_renderables(self) -> Iterable[RenderableType]:
        """The bars, then the line."""
        yield from super().get_renderables()
        if self.line:
            yield Text(self.line, style="dim", no_wrap=True, overflow="ellipsis")


class _Bars:
    """One bar per stage that runs."""

    def __init__(self, progress: _Screen) -> None:
        self._progress = progress
        self._tasks: dict[str, tuple[TaskID, float]] = {}

    def __call__(self, event: Event | TrainingEvent) -> None:
        if isinstance(event, TrainingEvent):
            self._train(event)
        elif isinstance(event, OracleAsking):
            self._progress.line = oracle_line(event)
        elif isinstance(event, OracleStopping):
            self._progress.console.print(stopping_line(event), highlight=False)
        elif isinstance(event, StageStarted):
            task = self._progress.add_task(event.stage, total=event.total, rate="")
            self._tasks[event.stage] = task, time.monotonic()
        elif isinstance(event, StageAdvanced):
            task, started = self._tasks[event.stage]
            rate = f"{event.done / max(time.monotonic() - started, 1e-3):.1f}/s"
            self._progress.update(task, completed=event.done, total=event.total, rate=rate)
        elif isinstance(event, StageFinished):
            task, _ = self._tasks[event.stage]
            self._progress.line = ""
            self._progress.update(task, completed=1, total=1, rate=f"{event.kept} kept, {event.rejected} rejected")
        else:
            self._progress.console.print(f"{event.stage:18} {event.reason}", style="dim", highlight=False)

    def _train(self, event: TrainingEvent) -> None:
        if event.stage not in self._tasks:
            task = self._progress.add_task(f"train {event.stage}", total=event.steps or None, rate="")
            self._tasks[event.stage] = task, time.monotonic()
        task, _ = self._tasks[event.stage]
        loss = "" if event.loss is None else f"loss {event.loss:.3f}"
        self._progress.update(task, completed=event.step, total=event.steps or None, rate=loss or event.note)


class _Lines:
    """Where there is no terminal: a line per stage, and inside a long one now and then how far it is."""

    def __init__(self) -> None:
        self._last = 0.0
        self._asked = time.monotonic()

    def __call__(self, event: Event | TrainingEvent) -> None:
        if isinstance(event, TrainingEvent):
            if event.note or time.monotonic() - self._last > QUIET_SECONDS:
                loss = "" if event.loss is None else f", loss {event.loss:.3f}"
                self._say(f"train {event.stage:12} step {event.step} of {event.steps}{loss} {event.note}".rstrip())
        elif isinstance(event, OracleAsking):
            if time.monotonic() - self._asked > QUIET_SECONDS:
                self._asked = time.monotonic()
                self._say(oracle_line(event))
        elif isinstance(event, OracleStopping):
            self._say(stopping_line(event))
        elif isinstance(event, StageFinished):
            self._say(f"{event.stage:18} {event.kept} kept, {event.rejected} rejected, {event.seconds:.1f} s")
        elif isinstance(event, StageSkipped):
            self._say(f"{event.stage:18} {event.reason}")
        elif isinstance(event, StageAdvanced) and time.monotonic() - self._last > QUIET_SECONDS:
            of = f" of {event.total}" if event.total else ""
            self._say(f"{event.stage:18} {event.done}{of}")

    def _say(self, text: str) -> None:
        self._last = time.monotonic()
        print(text, file=sys.stderr, flush=True)


def _print_json(event: Event | TrainingEvent) -> None:
    fields = event.model_dump(mode="json") if isinstance(event, TrainingEvent) else dataclasses.asdict(event)
    print(json.dumps({"event": type(event).__name__, **fields}), flush=True)
