"""Conditions over table columns, written by users: checked before they are evaluated.

ctapipe evaluates expressions with Python's own ``eval``, builtins included. What is allowed here is arithmetic,
comparisons, ``&``, ``|``, ``~`` and numpy's elementwise functions; everything else is refused unseen.
"""

import ast

import numpy as np

# the names that ctapipe's expression engine offers beside numpy itself
FUNCTIONS = frozenset({"sin", "cos", "tan", "arctan2", "log", "log10", "exp", "sqrt"})
CONDITION_FUNCTIONS = frozenset({"isfinite", "isnan", "isinf", "signbit", "logical_and", "logical_or", "logical_not"})

_ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow)
_LOGIC = (ast.BitAnd, ast.BitOr, ast.BitXor)


def columns_of(expression: str) -> set[str]:
    """Check a condition and give the columns that it needs.

    Parameters
    ----------
    expression : str
        Such as ``"(hillas_intensity > 50) & (np.abs(timing_slope) < 20)"``.

    Returns
    -------
    set of str

    Raises
    ------
    ValueError
        If it is no condition, or does anything but calculate. The message is one line.
    """
    try:
        tree = ast.parse(expression.strip(), mode="eval")
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"cannot read {expression!r}: {getattr(error, 'msg', error)}") from error
    columns: set[str] = set()
    try:
        _check_condition(tree.body, columns)
    except _RefusedError as error:
        raise ValueError(f"{error} in {expression!r}") from None
    if not columns:
        raise ValueError(f"no column in {expression!r}")
    return columns


class _RefusedError(Exception):
    """Why an expression is refused."""


def _check_condition(node: ast.expr, columns: set[str]) -> None:
    """Accept what gives true or false for each row."""
    match node:
        case ast.Compare(left=left, ops=[_], comparators=[right]):
            _check_number(left, columns)
            _check_number(right, columns)
        case ast.Compare():
            raise _RefusedError("one comparison at a time: write (a < b) & (b < c)")
        case ast.BoolOp():
            raise _RefusedError("write & and | with each comparison in brackets, not 'and' and 'or'")
        case ast.UnaryOp(op=ast.Not()):
            raise _RefusedError("write ~(...), not 'not'")
        case ast.BinOp(op=op, left=left, right=right) if isinstance(op, _LOGIC):
            _check_condition(left, columns)
            _check_condition(right, columns)
        case ast.UnaryOp(op=ast.Invert(), operand=operand):
            _check_condition(operand, columns)
        case ast.Call() if _function_name(node) in CONDITION_FUNCTIONS:
            _check_call(node, columns)
        case _:
            raise _RefusedError(f"{ast.unparse(node)!r} is no comparison")


def _check_number(node: ast.expr, columns: set[str]) -> None:
    """Accept what gives a number for each row."""
    match node:
        case ast.Constant(value=bool() | int() | float()):
            pass
        case ast.Name(id=name) if name in ("np", "u") or name in FUNCTIONS:
            raise _RefusedError(f"{name} alone")
        case ast.Name(id=name):
            columns.add(name)
        case ast.BinOp(op=op, left=left, right=right) if isinstance(op, _ARITHMETIC):
            _check_number(left, columns)
            _check_number(right, columns)
        case ast.BinOp(op=op) if isinstance(op, _LOGIC):
            raise _RefusedError("put each comparison beside & and | in brackets")
        case ast.UnaryOp(op=ast.UAdd() | ast.USub(), operand=operand):
            _check_number(operand, columns)
        case ast.Call():
            _check_call(node, columns)
        case _:
            raise _RefusedError(f"{ast.unparse(node)!r} is not allowed")


def _check_call(node: ast.Call, columns: set[str]) -> None:
    if _function_name(node) is None or node.keywords:
        raise _RefusedError(f"{ast.unparse(node)!r} is not allowed")
    check = _check_condition if _function_name(node).startswith("logical_") else _check_number
    for argument in node.args:
        check(argument, columns)


def _function_name(node: ast.Call) -> str | None:
    """Name of an elementwise function; None for any other."""
    match node.func:
        case ast.Name(id=name) if name in FUNCTIONS:
            return name
        case ast.Attribute(value=ast.Name(id="np"), attr=name) if isinstance(getattr(np, name, None), np.ufunc):
            return name
    return None
