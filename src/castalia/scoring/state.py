"""What the working folder holds after the tool calls."""

from collections.abc import Mapping

from castalia.errors import ConfigError
from castalia.records import Check
from castalia.scoring.values import Score, right, wrong


def score_state(check: Check, files: Mapping[str, str] | None) -> Score:
    """Passes when each `path=content` of `expected` is so. Whitespace at line ends and blank lines at both ends don't count."""
    if not check.expected or any("=" not in rule for rule in check.expected):
        raise ConfigError(f"a check of kind 'state' expects {list(check.expected)}; write path=content")
    if files is None:
        return wrong("no tools were run, so there are no files")
    for rule in check.expected:
        path, _, content = rule.partition("=")
        if path not in files:
            return wrong(f"there is no file {path!r}")
        if _plain(files[path]) != _plain(content):
            return wrong(f"{path!r} holds {files[path][:80]!r}, not {content[:80]!r}")
    return right(f"{len(check.expected)} files are as expected")


def _plain(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.splitlines()).strip("\n")
