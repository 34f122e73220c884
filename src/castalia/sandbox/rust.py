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
    """A Rust function as declared: `parameters` are pairs of name and type."""

    name: str
    generics: str
    parameters: tuple[tuple[str, str], ...]
    returns: str


class Declared(NamedTuple):
    """The functions a candidate must bring, and what stands around them: `use` lines, types, functions with a body."""

    functions: tuple[Signature, ...]
    rest: str


def read_signatures(text: str) -> Declared:
    """The functions declared in `text` without a body: `fn f(a: i32) -> i32;`, or an opening brace at the very end. Raises ValueError
    where there is none, or one that can't be read."""
    found: list[Signature] = []
    rest, position = list[str](), 0
    for match in _FUNCTION.finditer(text):
        if match.start() < position:
            continue  # inside the body of the one before
        inside, after = _to_closing(text[match.end() :])
        returns = re.match(r"\s*(?:->\s*(?P<kind>[^{;]*?)\s*)?(?P<where>\bwhere\b[^{;]*)?(?P<end>[{;]|$)", after)
        if not returns:
            raise ValueError(f"what {match[1]!r} returns can't be read")
        if returns["end"] == "{" and after[returns.end() :].strip():
            continue  # it has a body
        end = len(text) - len(after) + returns.end()
        rest.append(re.sub(r"\bpub\s*$", "", text[position : match.start()]))
        found.append(Signature(match[1], match[2] or "", _parameters(inside), returns["kind"] or "()"))
        position = end
    if not found:
        raise ValueError(f"{text.strip()[:80]!r} declares no function without a body; give it as `fn name(a: i32) -> i32;`")
    return Declared(tuple(found), "".join([*rest, text[position:]]))


def _parameters(text: str) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    for part in _split(text):
        name, colon, kind = part.partition(":")
        if not colon:
            raise ValueError(f"the parameter {part.strip()!r} has no type")
        found.append((name.replace("mut ", "").strip(), kind.strip()))
    return tuple(found)


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


def tests_task(tests: str, declared: Declared, rustc: str, support: str) -> dict[str, Any]:
    """What the harness is told about tests; the declared functions are asked for."""
    asking = "\n".join(map(_asking, declared.functions))
    return {
        "files": {"tests.rs": f"#![allow(warnings)]\n{declared.rest}\n{asking}\n{tests}\n"},
        "steps": [
            [
                rustc, "--edition", EDITION, "--test", "-C", "debuginfo=0", "-C", "codegen-units=1", "-A", "warnings",
                "--extern", f"castalia_plain={support}", "--crate-name", "tests", "tests.rs",
            ]
        ],
        "program": ["./tests", "--test-threads=1"],
        "tests": True,
    }  # fmt: skip


def _asking(function: Signature) -> str:
    parameters = ", ".join(f"{name}: {kind}" for name, kind in function.parameters)
    sent = ", ".join(f"::castalia_plain::ToPlain::to_plain(&{name})" for name, _ in function.parameters)
    return (
        f"fn {function.name}{function.generics}({parameters}) -> {function.returns} {{\n"
        f"    ::castalia_plain::ask({_quoted(function.name)}, vec![{sent}])\n}}\n"
    )


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
