"""A stage in a process of its own: what it held is given back when it ends, and a crash of it is an error here.

The job file is all that the child is told; its standard output is one JSON object per line, the last one the result.
"""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from castalia import errors
from castalia.errors import CastaliaError, TrainingFailed
from castalia.training.recipe import StageName
from castalia.training.stage import OnEvent, StageResult, TrainingEvent

FOLLOWS_PARENT = "CASTALIA_STAGE_FOLLOWS_PARENT"
"""Set where standard input is a pipe from the parent: the child ends when it closes, so no stage outlives a killed run."""
_LAST_WORDS = 800


def run_in_child(stage: StageName, job: Path, on_event: OnEvent) -> StageResult:
    """Runs `python -m castalia.training.STAGE job` and tells its events. Its standard error lies beside the job as `STAGE.log`.

    Raises what the stage raised, and TrainingFailed when the process ended without a word.
    """
    command = [sys.executable, "-m", f"castalia.training.{stage}", str(job)]
    log = job.with_suffix(".log")
    with log.open("wb") as errors_out:
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors_out, env={**os.environ, FOLLOWS_PARENT: "1"}
        )
        try:
            assert child.stdout is not None
            last = _listen(child.stdout, on_event)
            code = child.wait()
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    pipe.close()
    if "error" in last:
        raise _error_class(last["error"]["class"])(last["error"]["message"])
    if code != 0 or "result" not in last:
        raise TrainingFailed(_obituary(stage, code, log))
    return StageResult.model_validate(last["result"])


def follow_parent() -> None:
    """In a child: ends this process when the parent's end of standard input closes."""
    if not os.environ.pop(FOLLOWS_PARENT, ""):
        return

    def watch() -> None:
        while os.read(0, 4096):
            continue
        os._exit(errors.Interrupted.exit_code)

    threading.Thread(target=watch, daemon=True).start()


def _listen(lines: IO[bytes], on_event: OnEvent) -> Mapping[str, Any]:
    """Tells the events among the lines and returns the object with `result` or `error`. Libraries print what they like in between."""
    last: Mapping[str, Any] = {}
    for line in lines:
        said = _tagged(line)
        if "event" in said:
            on_event(TrainingEvent.model_validate(said["event"]))
        elif said:
            last = said
    return last


def _tagged(line: bytes) -> Mapping[str, Any]:
    try:
        said: Mapping[str, Any] = json.loads(line) if line.startswith(b"{") else {}
    except ValueError:
        return {}
    return said if said.keys() & {"event", "result", "error"} else {}


def _error_class(name: str) -> type[CastaliaError]:
    found = getattr(errors, name, None)
    return found if isinstance(found, type) and issubclass(found, CastaliaError) else CastaliaError


def _obituary(stage: str, code: int, log: Path) -> str:
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    hint = ", as the system does when memory runs out" if code == -signal.SIGKILL else ""
    text = log.read_text(encoding="utf-8", errors="replace").strip()
    words = f"; it last said: {text[-_LAST_WORDS:]}" if text else ""
    return (
        f"the process of training stage {stage!r} {how}{hint}, before the stage was complete; the same command resumes it from its newest "
        f"checkpoint; everything it said is in {str(log)!r}{words}"
    )
