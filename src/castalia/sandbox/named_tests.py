"""Which tests stand in Python test code, by name, as a test runner would find them: functions, methods and those that classes inherit.

Each of them must run. What is found under a condition must run, too: where it doesn't, the tests are refused, not passed.
"""

import ast
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

_Def = ast.FunctionDef | ast.AsyncFunctionDef


def names_of(tree: ast.Module) -> tuple[tuple[str, ...], str]:
    """The tests, `check` and `test...` or `Class.test...`, and why one of them could never run, empty where all can."""
    names = [node.name for node in reached(tree.body) if isinstance(node, _Def) and (node.name.startswith("test") or node.name == "check")]
    classes = {node.name: node for node in reached(tree.body) if isinstance(node, ast.ClassDef)}
    inherited = {base for node in classes.values() for base in _bases(node)}
    for name, node in classes.items():
        if not _is_switched_off(node) and (_is_case(name, classes) or name.startswith("Test") or name not in inherited):
            names += [f"{name}.{method}" for method in _methods(name, classes, ())]
    return tuple(dict.fromkeys(names)), _hidden(tree.body) or next(filter(None, (_hidden(node.body) for node in classes.values())), "")


def reached(body: Sequence[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements, and those under conditions and in blocks among them, but not what is in functions and classes."""
    for node in body:
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            for part in ast.iter_child_nodes(node):
                if isinstance(part, ast.stmt):
                    yield from reached([part])
                elif isinstance(part, ast.ExceptHandler):
                    yield from reached(part.body)


def _hidden(body: Sequence[ast.stmt]) -> str:
    counts = Counter(node.name for node in body if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)))
    twice = next((name for name, count in counts.items() if count > 1 and name.lower().startswith(("test", "check"))), "")
    return f"{twice!r} is defined twice, and only the last of them would run" if twice else ""


def _methods(name: str, classes: Mapping[str, ast.ClassDef], below: tuple[str, ...]) -> list[str]:
    """Names of the tests that a class has or inherits from classes of the same code."""
    if name not in classes or name in below:
        return []
    own = [one.name for one in reached(classes[name].body) if isinstance(one, _Def) and one.name.startswith("test")]
    above = [method for base in _bases(classes[name]) for method in _methods(base, classes, (*below, name))]
    return list(dict.fromkeys([*above, *own]))


def _is_case(name: str, classes: Mapping[str, ast.ClassDef], below: tuple[str, ...] = ()) -> bool:
    """Whether a class derives from unittest's TestCase, or one that is named like it."""
    if name not in classes:
        return name.endswith("TestCase")
    return name not in below and any(_is_case(base, classes, (*below, name)) for base in _bases(classes[name]))


def _bases(node: ast.ClassDef) -> list[str]:
    return [one.attr if isinstance(one, ast.Attribute) else one.id for one in node.bases if isinstance(one, (ast.Attribute, ast.Name))]


def _is_switched_off(node: ast.ClassDef) -> bool:
    """`__test__ = False`, as pytest knows it."""
    return any(
        isinstance(one, ast.Assign) and any(isinstance(target, ast.Name) and target.id == "__test__" for target in one.targets)
        for one in node.body
    )
