"""Test code in Python, read by the host without running any of it: which tests there are, and which of them are mere values.

Most test code of coding sets is a list of `assert f(inputs) == value`. Such code becomes cases that the host compares itself; anything
else runs in a jail of its own.
"""

import ast
import builtins
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from castalia.sandbox.named_tests import names_of, reached
from castalia.sandbox.values import Case

MODULES = ("candidate", "solution")
"""Names under which tests may import the candidate."""

_BUILTIN = frozenset(dir(builtins))


_Def = ast.FunctionDef | ast.AsyncFunctionDef


class TestCode(NamedTuple):
    """What the source of tests holds. `names` are the tests that must run, `functions` the names they use and nobody defines: those of
    the candidate. `cases` stands for all tests where that is possible. `flaw` says why some would never run, empty where all would."""

    __test__ = False  # pytest would collect it

    names: tuple[str, ...]
    module_asserts: bool
    needs_pytest: bool
    functions: tuple[str, ...]
    cases: tuple[Case, ...] | None
    flaw: str

    @property
    def total(self) -> int:
        """Tests that must run: functions, and the module where it asserts itself."""
        return len(self.names) + self.module_asserts


def read_tests(source: str, *, entry_point: str = "", setup: str = "") -> TestCode:
    """Reads test code; `setup` is what stands before it. Raises SyntaxError (ValueError for NUL bytes) when it does not compile."""
    tree, before = ast.parse(source), ast.parse(setup)
    names, flaw = names_of(tree)
    asserts = any(_asserts(node) for node in tree.body if not _is_main(node))
    if any(_asserts(node) for node in tree.body if _is_main(node)):
        flaw = flaw or "assertions under `if __name__ == '__main__'` never run"
    return TestCode(names, asserts, _needs_pytest(tree), _free_names(tree, before), _cases(tree, before, entry_point), flaw)


def cases_of(source: str, *, entry_point: str = "") -> tuple[Case, ...] | None:
    """Test code as cases the host compares itself; None where it is more than a list of assertions on literal values. Raises
    SyntaxError."""
    return read_tests(source, entry_point=entry_point).cases


def _needs_pytest(tree: ast.Module) -> bool:
    """Whether it imports pytest, or a test has parameters that nobody else would fill."""
    imported = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    imported += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    own = [one for one in reached(tree.body) if isinstance(one, _Def)]
    methods = [one for kind in reached(tree.body) if isinstance(kind, ast.ClassDef) for one in reached(kind.body) if isinstance(one, _Def)]
    return (
        any(name.partition(".")[0] == "pytest" for name in imported)
        or any(_parameters(one) > 0 for one in own if one.name.startswith("test") and not one.decorator_list)
        or any(_parameters(one) > 1 for one in methods if one.name.startswith("test") and not one.decorator_list)
    )


def _parameters(function: _Def) -> int:
    """Parameters without a default."""
    named = function.args
    return len(named.posonlyargs) + len(named.args) - len(named.defaults) + named.kw_defaults.count(None)


def _free_names(tests: ast.Module, setup: ast.Module) -> tuple[str, ...]:
    bound = {*_BUILTIN, *_bound(tests), *_bound(setup)}
    used = [node.id for node in ast.walk(tests) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)]
    return tuple(dict.fromkeys(name for name in used if name not in bound))


def _bound(tree: ast.Module) -> set[str]:
    """All names that get a meaning somewhere in it."""
    bound: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            bound.add(node.name)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            bound.update((alias.asname or alias.name).partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            bound.add(node.id)
    return bound


def _asserts(node: ast.AST) -> bool:
    """Whether it asserts where it stands, outside of functions and classes."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
        return False
    return isinstance(node, ast.Assert) or any(map(_asserts, ast.iter_child_nodes(node)))


def _is_main(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and any(isinstance(one, ast.Name) and one.id == "__name__" for one in ast.walk(node.test))


class _Names(NamedTuple):
    """What names mean in assertions: functions of the candidate by the name they have here, and names that are not the candidate's. With
    `only`, no other name is the candidate's either."""

    candidate: Mapping[str, str]
    foreign: frozenset[str]
    only: bool = False

    def function(self, name: str) -> str:
        """The candidate's function of that name, empty where it is none."""
        if name in self.candidate:
            return self.candidate[name]
        return "" if self.only or name in self.foreign or name in _BUILTIN else name

    def with_imports(self, body: Sequence[ast.stmt]) -> "_Names | None":
        """With what is imported there; None where that could be anything."""
        candidate, foreign = dict(self.candidate), set(self.foreign)
        for node in body:
            if isinstance(node, ast.Import):
                foreign |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
                candidate |= {alias.asname or alias.name: alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module == "typing":
                foreign |= {alias.asname or alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                return None  # its names might be called in an assertion, and are not the candidate's
        return _Names(candidate, frozenset(foreign), self.only)


def _cases(tree: ast.Module, setup: ast.Module, entry_point: str) -> tuple[Case, ...] | None:
    names = _Names({}, frozenset((_bound(setup) | _assigned(tree.body)) - {entry_point})).with_imports(tree.body)
    if names is None:
        return None
    found: list[Case] = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == "check" and len(node.args.args) == 1 and not node.decorator_list:
            inner = _statements(node.body, _Names({node.args.args[0].arg: entry_point}, frozenset(), only=True))
        elif isinstance(node, ast.FunctionDef) and node.name.startswith("test") and not node.args.args and not node.decorator_list:
            inner = _statements(node.body, names)
        elif isinstance(node, ast.Assign) and all(isinstance(target, ast.Name) and target.id.isupper() for target in node.targets):
            continue  # METADATA = {...}
        else:
            inner = _statements([node], names)
        if inner is None:
            return None
        found += inner
    return tuple(found) or None


def _assigned(body: Sequence[ast.stmt]) -> set[str]:
    """Names of functions and values defined there."""
    functions = {node.name for node in body if isinstance(node, ast.FunctionDef)}
    return functions | {one.id for node in body if isinstance(node, ast.Assign) for one in node.targets if isinstance(one, ast.Name)}


def _statements(body: Sequence[ast.stmt], outer: _Names) -> list[Case] | None:
    names = outer.with_imports(body)
    if names is None:
        return None
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


def _assertion(test: ast.expr, names: _Names) -> Case | str | None:
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


def _comparison(left: ast.expr, operation: ast.cmpop, right: ast.expr, names: _Names) -> Case | None:
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
    call, value = (left, right) if isinstance(left, ast.Call) and _function(left, names) else (right, left)
    if not isinstance(call, ast.Call):
        return None
    expected = _literal(value)
    if isinstance(operation, ast.Eq):
        return _call(call, names, relation="equal", expected=expected)
    return _call(call, names, relation="is", expected=expected) if expected is None or isinstance(expected, bool) else None


def _function(call: ast.Call, names: _Names) -> str:
    """The function of the candidate that is called, empty where it is none."""
    return names.function(call.func.id) if isinstance(call.func, ast.Name) else ""


def _call(call: ast.Call, names: _Names, **more: object) -> Case | None:
    function = _function(call, names)
    if not function:
        return None
    if any(isinstance(argument, ast.Starred) for argument in call.args) or any(keyword.arg is None for keyword in call.keywords):
        return None
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
