"""Progress of a run: bars with rate, money and time left for people, one JSON object per event for machines."""

import dataclasses
import json
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from castalia.engine import Event, StageAdvanced, StageFinished, StageSkipped, StageStarted
from castalia.training.stage import TrainingEvent

Listener = Callable[[Any], None]


@contextmanager
def show_progress(*, as_json: bool, money: Callable[[], str] = lambda: "") -> Generator[Listener]:
    """A listener for engine events, until the run ends. `money` is asked for the spent and remaining budget, in words."""
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
        TextColumn("{task.fields[money]}"),
    )
    with Progress(*columns, console=console) as progress:
        yield _Bars(progress, money)


class _Bars:
    """One bar per stage that runs."""

    def __init__(self, progress: Progress, money: Callable[[], str]) -> None:
        self._progress = progress
        self._money = money
        self._tasks: dict[str, tuple[TaskID, float]] = {}

    def __call__(self, event: Event | TrainingEvent) -> None:
        if isinstance(event, TrainingEvent):
            self._train(event)
        elif isinstance(event, StageStarted):
            task = self._progress.add_task(event.stage, total=event.total, rate="", money=self._money())
            self._tasks[event.stage] = task, time.monotonic()
        elif isinstance(event, StageAdvanced):
            task, started = self._tasks[event.stage]
            rate = f"{event.done / max(time.monotonic() - started, 1e-3):.1f}/s"
            self._progress.update(task, completed=event.done, total=event.total, rate=rate, money=self._money())
        elif isinstance(event, StageFinished):
            task, _ = self._tasks[event.stage]
            text = f"{event.kept} kept, {event.rejected} rejected"
            self._progress.update(task, completed=1, total=1, rate=text, money=self._money())
        else:
            self._progress.console.print(f"{event.stage:18} {event.reason}", style="dim", highlight=False)

    def _train(self, event: TrainingEvent) -> None:
        if event.stage not in self._tasks:
            task = self._progress.add_task(f"train {event.stage}", total=event.steps or None, rate="", money="")
            self._tasks[event.stage] = task, time.monotonic()
        task, _ = self._tasks[event.stage]
        loss = "" if event.loss is None else f"loss {event.loss:.3f}"
        self._progress.update(task, completed=event.step, total=event.steps or None, rate=loss or event.note)


class _Lines:
    """Where there is no terminal: a line per stage, and at most one every ten seconds inside a long one."""

    def __init__(self) -> None:
        self._last = 0.0

    def __call__(self, event: Event | TrainingEvent) -> None:
        if isinstance(event, TrainingEvent):
            if event.note or time.monotonic() - self._last > 10:
                loss = "" if event.loss is None else f", loss {event.loss:.3f}"
                self._say(f"train {event.stage:12} step {event.step} of {event.steps}{loss} {event.note}".rstrip())
        elif isinstance(event, StageFinished):
            self._say(f"{event.stage:18} {event.kept} kept, {event.rejected} rejected, {event.seconds:.1f} s")
        elif isinstance(event, StageSkipped):
            self._say(f"{event.stage:18} {event.reason}")
        elif isinstance(event, StageAdvanced) and time.monotonic() - self._last > 10:
            of = f" of {event.total}" if event.total else ""
            self._say(f"{event.stage:18} {event.done}{of}")

    def _say(self, text: str) -> None:
        self._last = time.monotonic()
        print(text, file=sys.stderr, flush=True)


def _print_json(event: Event | TrainingEvent) -> None:
    fields = event.model_dump(mode="json") if isinstance(event, TrainingEvent) else dataclasses.asdict(event)
    print(json.dumps({"event": type(event).__name__, **fields}), flush=True)
