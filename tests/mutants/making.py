"""Making mutants: a module with one small mistake."""

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

_COMPARED = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_COMPUTED = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}


@dataclass(frozen=True)
class Mutant:
    """A module's source with one change: where, and which."""

    line: int
    what: str
    source: str


def mutants(source: str) -> Iterator[Mutant]:
    """Every mutant of a module."""
    tree = ast.parse(source)
    chosen = _matters_of_taste(tree)
    for number, node in enumerate(ast.walk(tree)):
        if node in chosen:
            continue
        for what, change in _changes(node):
            wrong = copy.deepcopy(tree)
            twin = next(each for at, each in enumerate(ast.walk(wrong)) if at == number)
            change(twin)
            text = ast.unparse(ast.fix_missing_locations(wrong))
            if text != ast.unparse(tree):
                yield Mutant(getattr(node, "lineno", 0), what, text)


def _matters_of_taste(tree):
    """Nodes whose value is a choice: constants of a module, and decorators."""
    top = [node.value for node in tree.body if isinstance(node, ast.Assign | ast.AnnAssign) and node.value]
    decorators = [
        each
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef | ast.FunctionDef)
        for each in node.decorator_list
    ]
    return {inner for node in (*top, *decorators) for inner in ast.walk(node)}


def _changes(node):
    """The mistakes for a node: the name of each, and the function that makes it in the node's copy."""
    match node:
        case ast.Compare(ops=[op, *_]) if type(op) in _COMPARED:
            other = _COMPARED[type(op)]
            yield f"{_said(node)}: {other.__name__}", lambda twin: twin.ops.__setitem__(0, other())
        case ast.BinOp(op=op) if type(op) in _COMPUTED:
            other = _COMPUTED[type(op)]
            yield f"{_said(node)}: {other.__name__}", lambda twin: setattr(twin, "op", other())
        case ast.BoolOp(op=op):
            other = ast.Or if isinstance(op, ast.And) else ast.And
            yield f"{_said(node)}: {other.__name__}", lambda twin: setattr(twin, "op", other())
        case ast.UnaryOp(op=ast.Not()):
            yield f"{_said(node)}: no not", lambda twin: _become(twin, ast.UnaryOp(ast.Not(), _not(twin)))
        case ast.Constant(value=bool(value)):
            yield f"{value}: {not value}", lambda twin: setattr(twin, "value", not value)
        case ast.Constant(value=int(value) | float(value)) if not isinstance(value, bool):
            yield f"{value}: {value + 1}", lambda twin: setattr(twin, "value", value + 1)
        case ast.If():
            for truth in (True, False):
                yield (
                    f"if {_said(node.test)}: always {truth}",
                    lambda twin, truth=truth: setattr(twin, "test", ast.Constant(truth)),
                )
        case ast.Expr(value=ast.Call() | ast.Await()):
            yield f"{_said(node)}: left out", lambda twin: setattr(twin, "value", ast.Constant(None))


def _become(twin, other):
    twin.op, twin.operand = other.op, other.operand


def _not(twin):
    return ast.UnaryOp(ast.Not(), twin.operand)


def _said(node):
    return " ".join(ast.unparse(node).split())[:70]
