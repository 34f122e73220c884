"""Wrong versions of a right Python program, one small change each: what tests must tell from the program to be worth anything.

The operators are the usual ones of mutation testing (Jia and Harman, 2011): relations, arithmetic, logic, constants, conditions, order
of a loop, and a statement or a returned value left out. A mutant may be equivalent to the program; nothing here can know.
"""

import ast
import copy
import random
from collections.abc import Callable, Iterator
from typing import NamedTuple

_RELATIONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt), ast.LtE: (ast.Lt, ast.GtE), ast.Gt: (ast.GtE, ast.Lt), ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.In: (ast.NotIn,), ast.NotIn: (ast.In,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
}  # fmt: skip
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitAnd, ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.Pow: ast.Mult,
}  # fmt: skip


class Mutant(NamedTuple):
    """A program with one change; `change` names it and its line."""

    source: str
    change: str


def mutants_of(source: str, *, most: int, seed: int = 0) -> list[Mutant]:
    """At most `most` different mutants, drawn with `seed`. Raises SyntaxError when the program does not compile."""
    tree = ast.parse(source)
    spots = list(_spots(tree))
    random.Random(seed).shuffle(spots)
    found: dict[str, Mutant] = {}
    original = ast.unparse(tree)
    for number, change, edit in spots:
        if len(found) >= most:
            break
        changed = copy.deepcopy(tree)
        node = next(one for place, one in enumerate(ast.walk(changed)) if place == number)
        edit(node)
        try:
            text = ast.unparse(ast.fix_missing_locations(changed))
            compile(text, "mutant.py", "exec")
        except (SyntaxError, ValueError):
            continue  # a change the grammar forbids here, such as a function without a body
        if text != original:
            found.setdefault(text, Mutant(text, change))
    return list(found.values())


_Edit = Callable[[ast.AST], None]


def _spots(tree: ast.Module) -> Iterator[tuple[int, str, _Edit]]:
    """Number of a node in the order of ast.walk, what would change, and how."""
    silent = _left_alone(tree)
    inside = {id(node) for top in ast.walk(tree) if isinstance(top, ast.FunctionDef) for part in top.body for node in ast.walk(part)}
    for number, node in enumerate(ast.walk(tree)):
        if id(node) in silent or id(node) not in inside:
            continue
        line = f"line {getattr(node, 'lineno', 0)}"
        for name, edit in _edits(node):
            yield number, f"{name}, {line}", edit


def _left_alone(tree: ast.Module) -> set[int]:
    """Docstrings and annotations: a change there changes nothing."""
    found: set[int] = set()
    for node in ast.walk(tree):
        parts: list[ast.AST | None] = []
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            parts = [node, node.value]
        elif isinstance(node, (ast.AnnAssign, ast.arg)):
            parts = [node.annotation]
        elif isinstance(node, ast.FunctionDef):
            parts = [node.returns]
        found.update(id(inner) for part in parts if part is not None for inner in ast.walk(part))
    return found


def _edits(node: ast.AST) -> Iterator[tuple[str, _Edit]]:
    if isinstance(node, ast.Compare):
        for other in _RELATIONS.get(type(node.ops[0]), ()):
            yield f"relation to {other.__name__}", _set_relation(other)
    elif isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in _ARITHMETIC:
        other = _ARITHMETIC[type(node.op)]
        yield f"operator to {other.__name__}", _set_operator(other)
    elif isinstance(node, ast.BoolOp):
        yield "and for or", _swap_logic
    elif isinstance(node, ast.Constant):
        yield from _constants(node)
    elif isinstance(node, (ast.If, ast.While, ast.IfExp)):
        yield "condition negated", _negate
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
        yield "sign or negation left out", _drop_sign
    elif isinstance(node, ast.Return) and node.value is not None:
        yield "returns nothing", _return_nothing
    elif isinstance(node, (ast.For, ast.FunctionDef)) and len(node.body) > 1:
        yield "last statement left out", _drop_last
    elif isinstance(node, ast.Call) and len(node.args) > 1 and not any(isinstance(one, ast.Starred) for one in node.args):
        yield "arguments swapped", _swap_arguments


def _constants(node: ast.Constant) -> Iterator[tuple[str, _Edit]]:
    value = node.value
    if isinstance(value, bool):
        yield "truth flipped", _set_constant(not value)
    elif isinstance(value, (int, float)):
        yield "constant plus one", _set_constant(value + 1)
        yield "constant minus one", _set_constant(value - 1)
    elif isinstance(value, str):
        yield "text changed", _set_constant(value + "x" if not value else "")


def _set_constant(value: bool | float | str) -> _Edit:
    def edit(node: ast.AST) -> None:
        assert isinstance(node, ast.Constant)
        node.value = value

    return edit


def _set_relation(other: type[ast.cmpop]) -> _Edit:
    def edit(node: ast.AST) -> None:
        assert isinstance(node, ast.Compare)
        node.ops[0] = other()

    return edit


def _set_operator(other: type[ast.operator]) -> _Edit:
    def edit(node: ast.AST) -> None:
        assert isinstance(node, (ast.BinOp, ast.AugAssign))
        node.op = other()

    return edit


def _swap_logic(node: ast.AST) -> None:
    assert isinstance(node, ast.BoolOp)
    node.op = ast.And() if isinstance(node.op, ast.Or) else ast.Or()


def _negate(node: ast.AST) -> None:
    assert isinstance(node, (ast.If, ast.While, ast.IfExp))
    node.test = ast.UnaryOp(ast.Not(), node.test)


def _drop_sign(node: ast.AST) -> None:
    assert isinstance(node, ast.UnaryOp)
    if isinstance(node.op, ast.Not):
        node.operand = ast.UnaryOp(ast.Not(), node.operand)
    else:
        node.op = ast.UAdd()


def _return_nothing(node: ast.AST) -> None:
    assert isinstance(node, ast.Return)
    node.value = None


def _drop_last(node: ast.AST) -> None:
    assert isinstance(node, (ast.For, ast.FunctionDef))
    del node.body[-1]


def _swap_arguments(node: ast.AST) -> None:
    assert isinstance(node, ast.Call)
    node.args[0], node.args[1] = node.args[1], node.args[0]
