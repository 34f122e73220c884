"""What the host writes around Rust code: the program that calls a candidate, and the functions that stand for it among its tests.

A candidate is a library. At its end stands a module that may call its private functions and turns plain values into Rust's types and
back; the compiler finds the types. Tests are compiled without the candidate: a function of the same signature asks for each value.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from castalia.sandbox.rust_types import OwnType, closing, missing_types, plain_forms, read_types, split
from castalia.sandbox.toolchains import Toolchain

EDITION = "2021"
_FUNCTION = re.compile(r"\bfn\s+(\w+)\s*(<[^()]*>)?\s*\(")
_MUTABLE = re.compile(r"&\s*(?:'\w+\s+)?mut\s+(.+)", re.DOTALL)
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)


class Signature(NamedTuple):
    """A Rust function as declared: `parameters` are pairs of name and type."""

    name: str
    generics: str
    parameters: tuple[tuple[str, str], ...]
    returns: str

    @property
    def kinds(self) -> str:
        """A letter per parameter: `m` for `&mut T`, `s` for `&mut [T]`, `v` for what is handed over."""
        return "".join(
            "v" if not (found := _MUTABLE.match(kind)) else "s" if found[1].startswith("[") else "m" for _, kind in self.parameters
        )


class Build(NamedTuple):
    """Source files by name, and the compiler's commands that make `program` of them."""

    files: Mapping[str, str]
    steps: tuple[tuple[str, ...], ...]


class Declared(NamedTuple):
    """The functions a candidate must bring, the types it shares with the tests, and all that stands around the functions: `use` lines,
    those types, functions with a body."""

    functions: tuple[Signature, ...]
    types: tuple[OwnType, ...]
    rest: str


def read_signatures(text: str) -> Declared:
    """The functions declared in `text` without a body: `fn f(a: i32) -> i32;`, or an opening brace at the very end. Raises ValueError
    where there is none, or one that can't be read."""
    found: list[Signature] = []
    rest, position = list[str](), 0
    for match in _FUNCTION.finditer(text):
        if match.start() < position:
            continue  # inside the body of the one before
        end = closing(text, match.end() - 1)
        inside, after = text[match.end() : end - 1], text[end:]
        returns = re.match(r"\s*(?:->\s*(?P<kind>(?:[^{;\[]|\[[^\]]*\])*?)\s*)?(?P<where>\bwhere\b[^{;]*)?(?P<end>[{;]|$)", after)
        if not returns:
            raise ValueError(f"what {match[1]!r} returns can't be read")
        if returns["end"] == "{" and after[returns.end() :].strip():
            continue  # it has a body
        end = len(text) - len(after) + returns.end()
        if generic := [name for name in split((match[2] or "")[1:-1]) if not name.strip().startswith("'")]:
            raise ValueError(
                f"{match[1]!r} is generic over {generic[0].strip()!r}; values travel as concrete types, so declare it with those"
            )
        rest.append(re.sub(r"\bpub\s*$", "", text[position : match.start()]))
        function = Signature(match[1], match[2] or "", _parameters(inside), returns["kind"] or "()")
        if "&" in function.returns and set(function.kinds) - {"v"}:
            raise ValueError(f"{match[1]!r} gives back what it borrows to change; declare it with a value of its own")
        found.append(function)
        position = end
    if not found:
        raise ValueError(f"{text.strip()[:80]!r} declares no function without a body; give it as `fn name(a: i32) -> i32;`")
    around = "".join([*rest, text[position:]])
    return Declared(tuple(found), read_types(around), around)


def _parameters(text: str) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    for part in split(text):
        name, colon, kind = part.partition(":")
        if re.fullmatch(r"\s*(?:&\s*)?(?:mut\s+)?self\s*", name):
            raise ValueError("a method can't be called from outside; declare a function that takes the value")
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


def calls_task(candidate: str, functions: Mapping[str, str], types: Sequence[OwnType], rustc: str, support: str) -> Build:
    """How a candidate is built; `functions` has the kinds of the parameters by name (`Signature.kinds`)."""
    arms = "\n".join(f"            {_quoted(name)} => call_{kinds}(super::{name}, args)," for name, kinds in functions.items())
    glue = _GLUE.replace("/*callers*/", "\n".join(map(_caller, sorted(set(functions.values()))))).replace("/*arms*/", arms)
    glue = missing_types(types, candidate) + glue.replace("/*types*/", plain_forms(types))
    common = _common(rustc, support)
    return Build(
        {"candidate.rs": f"{candidate}\n{glue}", "main.rs": _MAIN},
        (
            (*common, "--crate-type", "rlib", "--crate-name", "candidate", "candidate.rs"),
            (*common, "-C", "strip=symbols", "-o", "program", "--extern", "candidate=libcandidate.rlib", "main.rs"),
        ),
    )


def tests_task(tests: str, declared: Declared, rustc: str, support: str) -> Build:
    """How tests are built; the declared functions are asked for."""
    asking = "\n".join(map(_asking, declared.functions))
    forms = f"mod castalia_types {{\n    use ::castalia_plain::*;\n{plain_forms(declared.types)}}}" if declared.types else ""
    return Build(
        {"tests.rs": f"#![allow(warnings)]\n{declared.rest}\n{asking}\n{forms}\n{tests}\n"},
        ((*_common(rustc, support), "--test", "-C", "strip=symbols", "-o", "program", "tests.rs"),),
    )


def _common(rustc: str, support: str) -> list[str]:
    return [
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


def _asking(function: Signature) -> str:
    parameters = ", ".join(f"{name}: {kind}" for name, kind in function.parameters)
    sent = ", ".join(f"::castalia_plain::ToPlain::to_plain(&*{name})" if kind != "v" else f"::castalia_plain::ToPlain::to_plain(&{name})"
                     for (name, _), kind in zip(function.parameters, function.kinds, strict=True))  # fmt: skip
    puts = "".join(
        f"    castalia_changed.{'put' if kind == 'm' else 'put_items'}({place}, {name});\n"
        for place, ((name, _), kind) in enumerate(zip(function.parameters, function.kinds, strict=True))
        if kind != "v"
    )
    return (
        f"fn {function.name}{function.generics}({parameters}) -> {function.returns} {{\n"
        f"    let (castalia_value, castalia_changed) = ::castalia_plain::ask({_quoted(function.name)}, vec![{sent}]);\n"
        f"{puts}    castalia_value\n}}\n"
    )


def _quoted(name: str) -> str:
    return f'"{name}"'


def _caller(kinds: str) -> str:
    letters = [f"A{place}" for place in range(len(kinds))]
    bounds = "".join(f"{letter}: FromPlain{' + ToPlain' if kind != 'v' else ''}, " for letter, kind in zip(letters, kinds, strict=True))
    types = {"v": "{}", "m": "&mut {}", "s": "&mut [{}]"}
    taken = ", ".join(types[kind].format(letter) for letter, kind in zip(letters, kinds, strict=True))
    owned = {"v": "{}", "m": "{}", "s": "Vec<{}>"}
    lets = "".join(
        f"        let mut a{place}: {owned[kind].format(letter)} = at(args, {place})?;\n"
        for place, (letter, kind) in enumerate(zip(letters, kinds, strict=True))
    )
    given = ", ".join(f"a{place}" if kind == "v" else f"&mut a{place}" for place, kind in enumerate(kinds))
    changed = ", ".join(f"({place}, a{place}.to_plain())" for place, kind in enumerate(kinds) if kind != "v")
    return (
        f"    fn call_{kinds}<{bounds}R: ToPlain>(function: impl Fn({taken}) -> R, args: &[Plain]) -> Result<Given, String> {{\n"
        f"{lets}        let value = function({given}).to_plain();\n        Ok((value, vec![{changed}]))\n    }}"
    )


_MAIN = """fn main() {
    castalia_plain::serve(candidate::castalia_glue::dispatch);
}
"""

_GLUE = """
#[allow(warnings)]
pub mod castalia_glue {
    use ::castalia_plain::*;

    fn at<T: FromPlain>(args: &[Plain], place: usize) -> Result<T, String> {
        T::from_plain(args.get(place).ok_or("an argument is missing")?)
    }

/*types*/
/*callers*/

    pub fn dispatch(name: &str, args: &[Plain]) -> Result<Given, String> {
        match name {
/*arms*/
            _ => Err("no such function".to_string()),
        }
    }
}
"""
