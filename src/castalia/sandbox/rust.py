"""What the host writes around Rust code: the program that calls a candidate, and the functions that stand for it among its tests.

A candidate is a library. At its end stands a module that may call its private functions and turns plain values into Rust's types and
back; the compiler finds the types. Tests are compiled without the candidate: a function of the same signature asks for each value.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from castalia.sandbox.toolchains import Toolchain

EDITION = "2021"
_FUNCTION = re.compile(r"\bfn\s+(\w+)\s*(<[^()]*>)?\s*\(")
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)


class Signature(NamedTuple):
    """A Rust function as declared: `parameters` are pairs of name and type; `before` is what stands before it."""

    name: str
    generics: str
    parameters: tuple[tuple[str, str], ...]
    returns: str
    before: str


def read_signature(text: str) -> Signature:
    """The last function declared in `text`, whose body may be missing. Raises ValueError for anything that can't be one."""
    found = list(_FUNCTION.finditer(text))
    if not found:
        raise ValueError(f"{text.strip()[:80]!r} declares no function; give it as `fn name(a: i32) -> i32`")
    match = found[-1]
    inside, rest = _to_closing(text[match.end() :])
    returns = re.match(r"\s*->\s*(.*?)\s*(?:\bwhere\b|\{|;|$)", rest, re.DOTALL)
    parameters: list[tuple[str, str]] = []
    for part in _split(inside):
        name, colon, kind = part.partition(":")
        if not colon:
            raise ValueError(f"the parameter {part.strip()!r} has no type")
        parameters.append((name.replace("mut ", "").strip(), kind.strip()))
    before = text[: match.start()].rstrip()
    return Signature(match[1], match[2] or "", tuple(parameters), returns[1] if returns else "()", re.sub(r"\bpub\s*$", "", before))


def count_tests(source: str) -> int:
    """`#[test]` outside of comments."""
    return len(re.findall(r"#\s*\[\s*test\s*\]", _COMMENT.sub("", source)))


def support_task(toolchain: Toolchain) -> list[str]:
    """The command that builds the library of plain values from `plain.rs` into the working folder."""
    return [
        toolchain.told["rustc"], "--edition", EDITION, "--crate-type", "rlib", "--crate-name", "castalia_plain", "-C", "debuginfo=0",
        "plain.rs",
    ]  # fmt: skip


def calls_task(candidate: str, functions: Mapping[str, int], rustc: str, support: str) -> dict[str, Any]:
    """What the harness is told about a candidate; `functions` has the number of arguments by name."""
    arms = "\n".join(f"            {_quoted(name)} => call{count}(super::{name}, args)," for name, count in functions.items())
    glue = _GLUE.replace("/*callers*/", "\n".join(_caller(count) for count in sorted(set(functions.values())))).replace("/*arms*/", arms)
    common = [
        rustc,
        "--edition",
        EDITION,
        "-C",
        "debuginfo=0",
        "-C",
        "codegen-units=1",
        "-A",
        "warnings",
        "--extern",
        f"castalia_plain={support}",
    ]
    return {
        "files": {"candidate.rs": f"{candidate}\n{glue}", "main.rs": _MAIN},
        "steps": [
            [*common, "--crate-type", "rlib", "--crate-name", "candidate", "candidate.rs"],
            [*common, "--crate-name", "program", "--extern", "candidate=libcandidate.rlib", "main.rs"],
        ],
        "program": ["./program"],
        "tests": False,
    }


def tests_task(tests: str, signature: Signature, rustc: str, support: str) -> dict[str, Any]:
    """What the harness is told about tests; the signature's function is asked for."""
    parameters = ", ".join(f"{name}: {kind}" for name, kind in signature.parameters)
    sent = ", ".join(f"::castalia_plain::ToPlain::to_plain(&{name})" for name, _ in signature.parameters)
    asking = (
        f"fn {signature.name}{signature.generics}({parameters}) -> {signature.returns} {{\n"
        f"    ::castalia_plain::ask({_quoted(signature.name)}, vec![{sent}])\n}}\n"
    )
    return {
        "files": {"tests.rs": f"#![allow(warnings)]\n{signature.before}\n{asking}\n{tests}\n"},
        "steps": [
            [
                rustc, "--edition", EDITION, "--test", "-C", "debuginfo=0", "-C", "codegen-units=1", "-A", "warnings",
                "--extern", f"castalia_plain={support}", "--crate-name", "tests", "tests.rs",
            ]
        ],
        "program": ["./tests", "--test-threads=1"],
        "tests": True,
    }  # fmt: skip


def _quoted(name: str) -> str:
    return f'"{name}"'


def _caller(count: int) -> str:
    letters = [f"A{place}" for place in range(count)]
    bounds = "".join(f"{letter}: FromPlain, " for letter in letters)
    given = ", ".join(f"at(args, {place})?" for place in range(count))
    return (
        f"    fn call{count}<{bounds}R: ToPlain>(function: impl Fn({', '.join(letters)}) -> R, args: &[Plain]) -> Result<Plain, String> {{\n"
        f"        Ok(function({given}).to_plain())\n    }}"
    )


def _to_closing(text: str) -> tuple[str, str]:
    depth = 1
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if not depth:
            return text[:place], text[place + 1 :]
    raise ValueError("the parameters of the function have no end")


def _split(text: str) -> list[str]:
    """At the commas outside of brackets."""
    parts, depth, start = list[str](), 0, 0
    for place, letter in enumerate(text):
        depth += (letter in "<([") - (letter in ">)]" and text[place - 1 : place] != "-")
        if letter == "," and not depth:
            parts.append(text[start:place])
            start = place + 1
    return [part for part in (*parts, text[start:]) if part.strip()]


_MAIN = """fn main() {
    castalia_plain::serve(candidate::castalia_glue::dispatch);
}
"""

_GLUE = """
#[allow(warnings)]
pub mod castalia_glue {
    use ::castalia_plain::{FromPlain, Plain, ToPlain};

    fn at<T: FromPlain>(args: &[Plain], place: usize) -> Result<T, String> {
        T::from_plain(args.get(place).ok_or("an argument is missing")?)
    }

/*callers*/

    pub fn dispatch(name: &str, args: &[Plain]) -> Result<Plain, String> {
        match name {
/*arms*/
            _ => Err("no such function".to_string()),
        }
    }
}
"""
