"""The tools that agent traces and tool-using evaluation items may call: Python and a shell in the jail, and a working folder between calls.

The working folder lives as bytes on the host and visits each jail: nothing of a jail outlives its call. What a call says is the
same on every machine: no host paths, no addresses, no timings.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple, Self, cast

from castalia.records import Tool
from castalia.sandbox.box import Sandbox
from castalia.sandbox.reports import is_below
from castalia.sandbox.values import Limits, Outcome

MOST_TEXT = 4000  # characters of a result
MOST_BYTES = 4 << 20  # bytes in the working folder

_ADDRESS = re.compile(r"(?<= at )0x[0-9a-f]{6,16}(?=[>,])")  # of an object, as Python shows it
_STAGED = re.compile(r"/[^\s\"']*/castalia-sandbox-[^/\s\"']+/(python|work|shell)(-[^/\s\"']+)?")


def text_parameters(**properties: str) -> str:
    """The JSON schema of a tool whose parameters are all required strings."""
    fields = {name: {"type": "string", "description": text} for name, text in properties.items()}
    return json.dumps({"type": "object", "properties": fields, "required": list(properties)})


USUAL = ("run_python", "write_file", "read_file")
"""What an assistant is offered where nothing else is said."""

TOOLS: Mapping[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool(
            name="run_python",
            description="Runs Python code in the working folder and returns what it prints.",
            parameters=text_parameters(code="The program. Print what you want to see."),
        ),
        Tool(
            name="run_shell",
            description="Runs a POSIX shell command in the working folder and returns what it prints; the usual text tools and `python` are there.",
            parameters=text_parameters(command="The command line; several may be joined."),
        ),
        Tool(
            name="write_file",
            description="Writes a text file in the working folder.",
            parameters=text_parameters(path="Path below the working folder.", content="The whole new content."),
        ),
        Tool(
            name="read_file",
            description="Returns the content of a text file in the working folder.",
            parameters=text_parameters(path="Path below the working folder."),
        ),
    )
}


class ToolResult(NamedTuple):
    """What the model is told, and whether the call did what it was asked to."""

    text: str
    ok: bool


class ToolSession:
    """One working folder and the calls on it, in order. Not for several threads at a time."""

    def __init__(
        self, sandbox: Sandbox, *, packages: Sequence[str] = (), files: Mapping[str, str] | None = None, limits: Limits | None = None
    ) -> None:
        self._sandbox = sandbox
        self._packages = tuple(packages)
        self._limits = limits or Limits()
        self._files = {_path(name): content.encode() for name, content in (files or {}).items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._files = {}

    def files(self) -> dict[str, str]:
        """The working folder: path to text, sorted; bytes that are no UTF-8 are replaced."""
        return {name: self._files[name].decode("utf-8", "replace") for name in sorted(self._files)}

    def call(self, name: str, arguments_json: str) -> ToolResult:
        """Executes one call. Whatever the model wrote, the answer is a result with `ok` False, never an exception; raises only
        SandboxUnavailable and ConfigError, which are no fault of the model."""
        if name.removeprefix("functions.") not in TOOLS:
            return _error(f"there is no tool {name[:100]!r}; there are {', '.join(TOOLS)}")
        tool = TOOLS[name.removeprefix("functions.")]
        try:
            arguments = arguments_of(tool, arguments_json)
            if tool.name == "run_python":
                return self._run(["python", "-"], stdin=arguments["code"])
            if tool.name == "run_shell":
                return self._run(["sh", "-c", arguments["command"]], toolchain="shell")
            if tool.name == "write_file":
                return self._write(_path(arguments["path"]), arguments["content"])
            return self._read(_path(arguments["path"]))
        except WrongArguments as error:
            return _error(str(error))

    def _run(self, argv: Sequence[str], *, stdin: str = "", toolchain: str = "") -> ToolResult:
        given = stdin.encode("utf-8", "replace")
        outcome = self._sandbox.run(argv, files=self._files, stdin=given, limits=self._limits, packages=self._packages, toolchain=toolchain)
        text = _say(outcome)
        if outcome.kind not in ("ok", "wrong"):
            return ToolResult(text, False)
        size = sum(map(len, outcome.files.values()))
        if size > MOST_BYTES:
            lost = f"error: the working folder holds at most {MOST_BYTES} bytes, this call left {size}; its files are as they were before"
            return ToolResult(f"{text}\n{lost}", False)
        self._files = dict(outcome.files)
        return ToolResult("\n".join(part for part in (text, _cut(outcome.detail)) if part), outcome.kind == "ok")

    def _write(self, path: str, content: str) -> ToolResult:
        data = content.encode("utf-8", "replace")
        others = {name: other for name, other in self._files.items() if name != path}
        if sum(map(len, others.values())) + len(data) > MOST_BYTES:
            return _error(f"the working folder holds at most {MOST_BYTES} bytes")
        parents = {str(parent) for parent in PurePosixPath(path).parents}
        if any(name in parents or path in {str(parent) for parent in PurePosixPath(name).parents} for name in others):
            return _error(f"{path!r} would be a file and a folder at once")
        self._files = {**others, path: data}
        return ToolResult(f"wrote {len(data)} bytes to {path}", True)

    def _read(self, path: str) -> ToolResult:
        if path not in self._files:
            known = ", ".join(sorted(self._files)) or "none"
            return _error(f"no file {path!r}; files: {known}")
        return ToolResult(_cut(self._files[path].decode("utf-8", "replace")), True)


class WrongArguments(Exception):
    """The model called a tool wrongly; it is told so."""


def arguments_of(tool: Tool, text: str) -> dict[str, str]:
    """The arguments of a call, all strings. Raises WrongArguments with what the model is told."""
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WrongArguments(f"the arguments are not JSON: {error}") from error
    wanted = list(json.loads(tool.parameters)["properties"])
    if not isinstance(value, dict):
        raise WrongArguments(f"the arguments must be a JSON object with {', '.join(wanted)}")
    given = cast(dict[str, Any], value)
    for name in wanted:
        if not isinstance(given.get(name), str):
            raise WrongArguments(f"{tool.name} needs {name!r} as a string")
    unknown = [name for name in given if name not in wanted]
    if unknown:
        raise WrongArguments(f"{tool.name} has no argument {unknown[0][:100]!r}; it has {', '.join(wanted)}")
    return given


def _path(name: str) -> str:
    if not is_below(name) or not name.isprintable():
        raise WrongArguments(f"{name[:200]!r} is not a path below the working folder, e.g. notes/plan.txt")
    return str(PurePosixPath(name))


def _error(text: str) -> ToolResult:
    return ToolResult(f"error: {_cut(text)}", False)


def _say(outcome: Outcome) -> str:
    out, complaint = (_neutral(stream.decode("utf-8", "replace")) for stream in (outcome.stdout, outcome.stderr))
    parts = [out.rstrip("\n"), complaint.rstrip("\n")]
    why = {
        "timeout": "error: the program took too long and was ended",
        "memory": "error: the program used too much memory and was ended",
        "output": "error: the program printed too much and was ended",
        "crash": "error: the program was ended by a signal",
        "refused": f"error: {outcome.detail}",
    }
    text = "\n".join(part for part in (_cut(parts[0]), _cut(parts[1]), why.get(outcome.kind, "")) if part)
    if text:
        return text
    return "(no output)" if outcome.kind == "ok" else f"(no output, exit code {outcome.exit_code})"


def _neutral(text: str) -> str:
    """Without what differs between machines or runs: addresses, and the places where tier B keeps its files."""
    placed = _STAGED.sub(lambda match: f"/{match[1]}", text)
    return _ADDRESS.sub("0x0", placed)


def _cut(text: str) -> str:
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]}\n[{len(text) - MOST_TEXT} more characters]"
