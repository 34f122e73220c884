"""Test code in Python, read by the host without running any of it: which tests there are, and which of them are mere values.

Most test code of coding sets is a list of `assert f(inputs) == value`. Such code becomes cases that the host compares itself; anything
else runs in a jail of its own.
"""

import ast
import builtins
from collections.abc import Sequence
from typing import NamedTuple

from castalia.sandbox.values import Case

MODULES = ("candidate", "solution")
"""Names under which tests may import the candidate."""

_BUILTIN = frozenset(dir(builtins))


class TestCode(NamedTuple):
    """What the source of tests holds. `names` are the tests to run, `functions` the names they use and nobody defines: those of the
    candidate. `cases` stands for all tests where that is possible."""

    __test__ = False  # pytest would collect it

    names: tuple[str, ...]
    module_asserts: bool
    uses_pytest: bool
    functions: tuple[str, ...]
    cases: tuple[Case, ...] | None

    @property
    def total(self) -> int:
        """Tests that must run: functions, and the module where it asserts itself."""
        return len(self.names) + self.module_asserts


def read_tests(source: str, *, entry_point: str = "", setup: str = "") -> TestCode:
    """Reads test code; `setup` is what stands before it. Raises SyntaxError (ValueError for NUL bytes) when it does not compile."""
    tree = ast.parse(source)
    names: list[str] = []
    imports: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and (node.name.startswith("test") or node.name == "check"):
            names.append(node.name)
        elif isinstance(node, ast.ClassDef):
            names += [
                f"{node.name}.{part.name}" for part in node.body if isinstance(part, ast.FunctionDef) and part.name.startswith("test")
            ]
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            imports.append(node.module.partition(".")[0])
        elif isinstance(node, ast.Import):
            imports += [alias.name.partition(".")[0] for alias in node.names]
    asserts = any(isinstance(inner, ast.Assert) for node in tree.body if not _defines(node) for inner in ast.walk(node))
    return TestCode(tuple(names), asserts, "pytest" in imports, _free_names(tree, ast.parse(setup)), _cases(tree.body, entry_point))


def cases_of(source: str, *, entry_point: str = "") -> tuple[Case, ...] | None:
    """Test code as cases the host compares itself; None where it is more than a list of assertions on literal values. Raises
    SyntaxError."""
    return read_tests(source, entry_point=entry_point).cases


def _free_names(tests: ast.Module, setup: ast.Module) -> tuple[str, ...]:
    bound = set(_BUILTIN)
    used: dict[str, None] = {}
    for tree in (tests, setup):
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                bound.add(node.name)
            elif isinstance(node, ast.arg):
                bound.add(node.arg)
            elif isinstance(node, ast.ExceptHandler) and node.name:
                bound.add(node.name)
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                bound.update((alias.asname or alias.name).partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.Name):
                if not isinstance(node.ctx, ast.Load):
                    bound.add(node.id)
                elif tree is tests:
                    used[node.id] = None
    return tuple(name for name in used if name not in bound)


def _defines(node: ast.stmt) -> bool:
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))


def _cases(body: Sequence[ast.stmt], entry_point: str) -> tuple[Case, ...] | None:
    found: list[Case] = []
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name == "check" and len(node.args.args) == 1 and not node.decorator_list:
            inner = _statements(node.body, {node.args.args[0].arg: entry_point})
        elif isinstance(node, ast.FunctionDef) and node.name.startswith("test") and not node.args.args and not node.decorator_list:
            inner = _statements(node.body, {})
        elif isinstance(node, ast.Assign) and all(isinstance(target, ast.Name) and target.id.isupper() for target in node.targets):
            continue  # METADATA = {...}
        elif isinstance(node, ast.ImportFrom):
            if node.module not in (*MODULES, "typing"):
                return None  # its names might be called in an assertion, and are not the candidate's
            continue
        elif isinstance(node, ast.Import):
            continue
        else:
            inner = _statements([node], {})
        if inner is None:
            return None
        found += inner
    return tuple(found) or None


def _statements(body: Sequence[ast.stmt], names: dict[str, str]) -> list[Case] | None:
    found: list[Case] = []
    for node in body:
        if isinstance(node, ast.Assert):
            case = _assertion(node.test, names)
            if case == "trivial":
                continue
            if not isinstance(case, Case):
                return None
            found.append(case)
        elif not _does_nothing(node):
            return None
    return found


def _does_nothing(node: ast.stmt) -> bool:
    return isinstance(node, (ast.Pass, ast.Import, ast.ImportFrom)) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def _assertion(test: ast.expr, names: dict[str, str]) -> Case | str | None:
    """A case, `trivial` for `assert True`, None for anything else."""
    try:
        if isinstance(test, ast.Constant) and test.value is True:
            return "trivial"
        if isinstance(test, ast.Call) and isinstance(test.func, ast.Attribute) and test.func.attr == "isclose":
            return None
        if isinstance(test, ast.Call):
            return _call(test, names, relation="truthy")
        if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not) and isinstance(test.operand, ast.Call):
            return _call(test.operand, names, relation="falsy")
        if isinstance(test, ast.Compare) and len(test.ops) == 1:
            return _comparison(test.left, test.ops[0], test.comparators[0], names)
    except ValueError:
        return None
    return None


def _comparison(left: ast.expr, operation: ast.cmpop, right: ast.expr, names: dict[str, str]) -> Case | None:
    if (
        isinstance(operation, (ast.Lt, ast.LtE))
        and isinstance(left, ast.Call)
        and isinstance(left.func, ast.Name)
        and left.func.id == "abs"
    ):
        difference = left.args[0] if len(left.args) == 1 else None
        if not (isinstance(difference, ast.BinOp) and isinstance(difference.op, ast.Sub)):
            return None
        call, value = difference.left, difference.right
        call, value = (call, value) if isinstance(call, ast.Call) else (value, call)
        tolerance = _literal(right)
        expected = _literal(value)
        if not (isinstance(call, ast.Call) and isinstance(tolerance, (int, float)) and isinstance(expected, (int, float))):
            return None
        return _call(call, names, relation="close", expected=expected, tolerance=float(tolerance))
    if not isinstance(operation, (ast.Eq, ast.Is)):
        return None
    call, value = (left, right) if isinstance(left, ast.Call) and _is_candidate(left, names) else (right, left)
    if not isinstance(call, ast.Call):
        return None
    expected = _literal(value)
    if isinstance(operation, ast.Is) and expected is not None and not isinstance(expected, bool):
        return None
    return _call(call, names, relation="equal", expected=expected)


def _is_candidate(call: ast.Call, names: dict[str, str]) -> bool:
    return isinstance(call.func, ast.Name) and (call.func.id in names or not names)


def _call(call: ast.Call, names: dict[str, str], **more: object) -> Case | None:
    if not isinstance(call.func, ast.Name) or (names and call.func.id not in names) or call.func.id in _BUILTIN:
        return None
    if any(isinstance(argument, ast.Starred) for argument in call.args) or any(keyword.arg is None for keyword in call.keywords):
        return None
    function = names.get(call.func.id, call.func.id)
    args = tuple(_literal(argument) for argument in call.args)
    kwargs = {str(keyword.arg): _literal(keyword.value) for keyword in call.keywords}
    return Case(function, args, kwargs, **more)  # type: ignore[arg-type]


def _literal(node: ast.expr) -> object:
    """The value of a literal, `set()` and its like included. Raises ValueError for anything else."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.args and not node.keywords:
        empty = {"set": set[object](), "tuple": (), "list": list[object](), "dict": dict[object, object]()}
        if node.func.id in empty:
            return empty[node.func.id]
    try:
        return ast.literal_eval(node)
    except (SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError("no literal") from error
