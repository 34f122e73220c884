"""Runner `shell`: the candidate is a POSIX shell script, an input is how it is called.

Input: `{"args": [...], "stdin": "...", "files": {"name": "text"}}`; each may be missing. Value: `{"stdout": "...", "exit_code": 0,
"files": {...}}`, the files those that were made or changed. Each input has an empty folder of its own. Runs in the jail.
"""

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any


def run(candidate: str, value: Any) -> Any:
    """Runs the script with `sh`. Text that is no UTF-8 comes back with replacement characters."""
    folder = Path(tempfile.mkdtemp(dir=os.getcwd()))  # noqa: PTH109
    given = {str(name): str(text) for name, text in value.get("files", {}).items()}
    for name, text in given.items():
        place = folder / name
        if ".." in place.parts or (place.is_absolute() and not place.is_relative_to(folder)):
            raise ValueError(f"the file name {name!r} is not a path below the working folder")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
    # files, not pipes: a program left in the background holds a pipe open, and nobody waits for it
    with tempfile.TemporaryFile() as given_input, tempfile.TemporaryFile() as said:
        given_input.write(str(value.get("stdin", "")).encode())
        given_input.seek(0)
        status = subprocess.call(
            ["sh", "-c", candidate, "script", *map(str, value.get("args", []))],
            stdin=given_input,
            stdout=said,
            stderr=subprocess.DEVNULL,
            cwd=folder,
        )
        said.seek(0)
        stdout = said.read().decode("utf-8", "replace")
    left: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and not path.is_symlink():
            text = path.read_bytes().decode("utf-8", "replace")
            if given.get(name) != text:
                left[name] = text
    return {"stdout": stdout, "exit_code": status, "files": left}
