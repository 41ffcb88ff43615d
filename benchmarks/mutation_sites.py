"""Small changes of a program, one at a time, for `mutation.py`: where its source may be changed, and into what.

A change replaces the text of one node of the syntax tree, so the rest of the file stays as it is and a difference is one
line long. Left alone is what no test should hold: documentation, annotations, words (text, and the arguments of what is
raised), imports, and what stands in a format.
"""

import ast
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import cache
from typing import Any, NamedTuple

COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
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
COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
EXCHANGED = ("min max", "minimum maximum", "any all", "argmin argmax", "floor ceil", "zeros ones")
RENAMED = {one: other for pair in EXCHANGED for one, other in (pair.split(), pair.split()[::-1])}
RETURNED = {"float": "0.0", "int": "0", "str": "''", "list": "[]", "dict": "{}", "tuple": "()", "set": "set()"}
LEFT_OUT = ("abs", "sqrt", "sorted", "reversed")


class Site(NamedTuple):
    """One change: of which kind, in which function, and the text from one offset (in bytes) to another replaced."""

    path: str
    function: str
    line: int
    kind: str
    start: int
    stop: int
    text: str

    def changed(self, source: bytes) -> bytes:
        """The source with this change."""
        return source[: self.start] + self.text.encode() + source[self.stop :]


@cache
def sites(path: str, source: bytes) -> tuple[Site, ...]:
    """All changes of a module, in the order of its text."""
    finder = _Finder(path, source)
    finder.visit(ast.parse(source))
    return tuple(sorted(finder.found, key=lambda site: (site.start, site.stop, site.kind, site.text)))


class _Finder(ast.NodeVisitor):
    """Collects the changes of every node, but of those that say nothing."""

    def __init__(self, path: str, source: bytes) -> None:
        self.path, self.found = path, list[Site]()
        self.offsets = [0]
        for line in source.splitlines(keepends=True):
            self.offsets.append(self.offsets[-1] + len(line))
        self.scope: list[str] = []
        self.returns: list[str] = []

    def visit(self, node: ast.AST) -> None:
        if isinstance(node, (ast.JoinedStr, ast.Import, ast.ImportFrom, ast.arg)) or _is_assertion(node):
            return
        for kind, text in changes(node, self.returns[-1] if self.returns else ""):
            self._add(node, kind, text)
        for test in _tests(node):
            self._add(test, "condition", _text(_not(test)))
        if isinstance(node, ast.Raise):
            return
        if isinstance(node, ast.AnnAssign):
            if node.value is not None and "TypeAlias" not in ast.unparse(node.annotation):
                self.visit(node.value)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef, ast.Lambda)):
            self._within(node)
        else:
            self.generic_visit(node)

    def _within(self, node: ast.FunctionDef | ast.ClassDef | ast.Lambda) -> None:
        """A function or class: its defaults and its body."""
        if not isinstance(node, ast.ClassDef):
            for default in (*node.args.defaults, *(each for each in node.args.kw_defaults if each)):
                self.visit(default)
        self.scope.append("<lambda>" if isinstance(node, ast.Lambda) else node.name)
        returns = node.returns if isinstance(node, ast.FunctionDef) else None
        self.returns.append(ast.unparse(returns) if returns else "")
        for child in node.body if isinstance(node.body, list) else [node.body]:
            self.visit(child)
        self.scope.pop()
        self.returns.pop()

    def _add(self, node: Any, kind: str, text: str) -> None:
        first, last = int(node.lineno), int(node.end_lineno)
        start, stop = self.offsets[first - 1] + int(node.col_offset), self.offsets[last - 1] + int(node.end_col_offset)
        self.found.append(Site(self.path, ".".join(self.scope), node.lineno, kind, start, stop, text))


def _is_assertion(node: ast.AST) -> bool:
    """``strict=True`` says what is true anyway."""
    return isinstance(node, ast.keyword) and node.arg == "strict"


def _tests(node: ast.AST) -> list[ast.expr]:
    """Conditions that a node asks, but for those of which a changed operator is the negation."""
    if isinstance(node, (ast.If, ast.While, ast.IfExp)):
        asked = [node.test]
    else:
        asked = node.ifs if isinstance(node, ast.comprehension) else []
    return [test for test in asked if not (isinstance(test, ast.UnaryOp) or _is_equality(test))]


def _is_equality(test: ast.expr) -> bool:
    ordered = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
    return isinstance(test, ast.Compare) and len(test.ops) == 1 and not isinstance(test.ops[0], ordered)


def changes(node: ast.AST, returns: str) -> Iterator[tuple[str, str]]:
    """Kind and text of everything that may stand in a node's place; ``returns`` is its function's annotation."""
    match node:
        case ast.Compare():
            for place, operator in enumerate(node.ops):
                yield "comparison", _with(node, lambda new, at=place, o=operator: _set(new.ops, at, COMPARED[type(o)]()))
        case ast.BinOp() if type(node.op) in COMPUTED:
            yield "arithmetic", _with(node, lambda new: setattr(new, "op", COMPUTED[type(node.op)]()))
        case ast.BoolOp():
            other = ast.Or() if isinstance(node.op, ast.And) else ast.And()
            yield "boolean", _with(node, lambda new: setattr(new, "op", other))
        case ast.UnaryOp(op=ast.USub() | ast.Not()):
            yield "sign or not", _text(node.operand)
        case ast.Constant(value=bool() | int() | float() as value):
            yield "constant", str(_moved(value))
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            yield from _calls(node, name)
        case ast.Return(value=ast.expr() as value):
            yield from (("returned", f"return {text}") for text in _defaults(value, returns))
        case ast.Expr(value=ast.Call()) | ast.Raise() | ast.Continue() | ast.Break() | ast.AugAssign():
            yield "dropped", "pass"
        case _:
            pass


def _calls(node: ast.Call, name: str) -> Iterator[tuple[str, str]]:
    if name in RENAMED:
        field = "id" if isinstance(node.func, ast.Name) else "attr"
        yield "exchanged", _with(node, lambda new: setattr(new.func, field, RENAMED[name]))
    if name in LEFT_OUT and len(node.args) == 1:
        yield "function left out", _text(node.args[0])


def _defaults(value: ast.expr, returns: str) -> Iterator[str]:
    """In place of what is returned."""
    if returns == "bool":
        yield ast.unparse(_not(value))
    default = RETURNED.get(returns.partition("[")[0])
    if default is not None and ast.unparse(value) != default:
        yield default


def _moved(value: float) -> float:
    """Another number of the same kind: the next integer; of others 0 and 1 exchanged, the rest doubled."""
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) else {0.0: 1.0, 1.0: 0.0}.get(value, 2 * value)


def _not(test: ast.expr) -> ast.expr:
    return ast.UnaryOp(ast.Not(), test)


def _set(operators: list[ast.cmpop], place: int, operator: ast.cmpop) -> None:
    operators[place] = operator


def _with(node: ast.expr, change: Callable[[Any], None]) -> str:
    new = deepcopy(node)
    change(new)
    return _text(new)


def _text(node: ast.expr) -> str:
    return f"({ast.unparse(node)})"
