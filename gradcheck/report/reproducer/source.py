"""Arguments of a call as Python source: what can be read is written out, the rest is pickled.

Numbers, strings, small arrays and their nestings, cases and networks are literals; functions that a fresh process finds by
their module or file are named; large arrays and all other things become constants (`gradcheck.report.reproducer.pickles`).
"""

import base64
import inspect
import io
import sys
import textwrap
import tokenize
from collections.abc import Iterator
from itertools import accumulate, groupby, pairwise
from keyword import iskeyword
from pathlib import Path
from typing import Any, cast

import msgspec
import numpy as np

from gradcheck.errors import OutputError
from gradcheck.foundation.arrays import Array
from gradcheck.foundation.describe import Description
from gradcheck.foundation.loading import PREFIX
from gradcheck.foundation.wording import printable
from gradcheck.report.reproducer import pickles
from gradcheck.verdict.outcome import Call

WIDTH = 110
WRITTEN_OUT = 200  # entries of an array that a reader may want to see: 38 lines, a screen; 1000 are 189
UFUNCS = ("numpy", "scipy.special")  # ufuncs do not all say where they are


class Writer:
    """Turns arguments into expressions, and keeps what these need above them: imports, large arrays, and pickles."""

    def __init__(self) -> None:
        self.modules = {"sys", "gradcheck"}
        self.names: set[tuple[str, str]] = set()  # to import, each from its module
        self.arrays: dict[str, Array] = {}
        self.objects: dict[str, tuple[str, Any]] = {}  # by name: where it stood in the call, and itself

    def call(self, call: Call) -> str:
        """The call, an argument a line."""
        lines = [self._argument(_place(call, index), value) for index, value in enumerate(call.args)]
        for name, value in call.kwargs.items():
            argument = self._argument(name, value)
            lines.append(f"{name}={argument}" if _is_name(name) else f"**{{{quoted(name)}: {argument}}}")
        return f"gradcheck.{call.check.__name__}(\n{''.join(_folded(f'{line},') for line in lines)})"

    def _argument(self, place: str, value: Any) -> str:
        if isinstance(value, Iterator):
            raise OutputError(f"{place}: cannot be reproduced: an iterator is used up, give a list")
        return self.expression(value, place)

    def expression(self, value: Any, place: str) -> str:
        """Python that evaluates to the value."""
        if value is None or type(value) in (bool, int, str, bytes, complex):
            return quoted(value) if type(value) is str else repr(value)
        if type(value) is float:
            return repr(value) if np.isfinite(value) else f'float("{value}")'
        if isinstance(value, np.bool | np.number):
            return f"{self._array(np.asarray(cast('Any', value)), place)}[()]"
        if type(value) is np.ndarray and not value.dtype.hasobject:
            return self._array(value, place)
        if isinstance(value, Description):
            return self._description(value)
        nesting = self._nesting(value, place)
        return nesting or self._reference(value) or self._named(self.objects, (place, value), place)

    def _nesting(self, value: Any, place: str) -> str:
        """Of a dict, list or tuple, not of their subclasses, which are something else."""
        kind = cast("Any", type(value))
        if kind is dict:
            pairs = cast("dict[Any, Any]", value).items()
            rows = (f"{self.expression(key, place)}: {self.expression(each, f'{place}[{key!r}]')}" for key, each in pairs)
            return f"{{{', '.join(rows)}}}"
        if kind not in (list, tuple):
            return ""
        items = [self.expression(each, f"{place}[{index}]") for index, each in enumerate(value)]
        inside = ", ".join(items) + ("," if kind is tuple and len(items) == 1 else "")
        return f"[{inside}]" if kind is list else f"({inside})"

    def _array(self, array: Array, place: str) -> str:
        self.modules.add("numpy as np")
        dtype = array.dtype
        readable = dtype.kind in "fiub" and dtype.itemsize <= 8 and dtype.isnative and array.flags.c_contiguous
        if not readable or not 0 < array.size <= WRITTEN_OUT:
            return self._named(self.arrays, array, place)
        values: Any = array.tolist()
        kind = "" if np.array(values).dtype == dtype else f', dtype="{dtype}"'
        return f"np.array({self.expression(values, place)}{kind})"

    def _description(self, part: Description) -> str:
        """A case, or what it is made of, as one would write it: what is left to its default is left out."""
        kind, fields = type(part), msgspec.structs.fields(part)
        given = {field.name: getattr(part, field.name) for field in fields if getattr(part, field.name) != field.default}
        inside = ", ".join(f"{name}={self.expression(value, name)}" for name, value in given.items())
        return f"{self._kind(kind)}({inside})"

    def _kind(self, kind: type) -> str:
        """A layer or loss may be somebody's own: to import it registers it, a pickle of it would not."""
        top = kind.__module__.partition(".")[0]
        if top == "gradcheck" and getattr(sys.modules[top], kind.__name__, None) is kind:
            self.names.add((top, kind.__name__))
            return kind.__name__
        where = self._reference(kind)
        if not where:
            raise OutputError(f"case: {kind.__name__} is defined in {kind.__module__}, which cannot be imported again")
        return where

    def _reference(self, value: Any) -> str:
        """Of a function or class that is an attribute of a module, or of a file that was loaded by its path."""
        path = str(getattr(value, "__qualname__", getattr(value, "__name__", "")))
        prefixes = accumulate(str(getattr(value, "__module__", "")).split("."), "{}.{}".format)
        for name in (*prefixes, *UFUNCS):  # what a package shows at its top is imported from there
            module = sys.modules.get(name)
            if module is None or not callable(value) or not _same(pickles.lookup(module, path), value):
                continue
            if name.startswith(PREFIX) and "." not in path:
                self.names.add(("gradcheck.foundation.loading", "locate"))
                return f"locate({quoted(f'{Path(str(module.__file__)).resolve()}:{path}')}, {quoted(path)})"
            if pickles.is_importable(module) and all(map(_is_name, f"{name}.{path}".split("."))):
                self.modules.add("numpy as np" if name == "numpy" else name)
                return f"{'np' if name == 'numpy' else name}.{path}"
        return ""

    def _named(self, table: dict[str, Any], value: Any, place: str) -> str:
        """A name in capitals that is not taken."""
        name = "".join(c if c.isascii() and c.isalnum() else " " for c in place).strip().upper().replace(" ", "_")
        name = name if _is_name(name) else f"_{name}"
        while name in {"EXPECTED", "RULES", *self.arrays, *self.objects}:
            name += "_"
        table[name] = value
        return name

    def definitions(self) -> Iterator[str]:
        """Arrays, and the pickle under the sources of what is in it."""
        for name, array in self.arrays.items():
            self.modules |= {"base64", "io"}
            file = io.BytesIO()
            np.save(file, array, allow_pickle=False)
            yield f"{name} = np.load(io.BytesIO({_block(file.getvalue())}))"
        if self.objects:
            self.modules |= {"base64", "pickle"}
            pickled, with_rules = pickles.dumps(dict(self.objects.values()))
            names = [*self.objects, *(["RULES"] if with_rules else [])]
            sources = "".join(_comment(name, value) for name, (_, value) in self.objects.items())
            targets = ", ".join(names) if len(names) > 1 else f"({names[0]},)"
            yield f"{sources}{targets} = pickle.loads({_block(pickled)})"
            if with_rules:
                self.names.add(("autograd.core", "primitive_vjps"))
                yield "primitive_vjps.update(RULES)"

    def imported(self) -> str:
        """The standard library first, as linters want it."""
        standard = {module for module in self.modules if module.partition(".")[0] in sys.stdlib_module_names}
        plain = [f"import {module}" for module in sorted(self.modules - standard)]
        froms = groupby(sorted(self.names), lambda pair: pair[0])
        taken = [f"from {module} import {', '.join(name for _, name in names)}" for module, names in froms]
        return "\n".join([*(f"import {module}" for module in sorted(standard)), "", *plain, *taken])


def _place(call: Call, index: int) -> str:
    """What a positional argument is called."""
    parameters = inspect.signature(call.check).parameters.values()
    names = [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
    return names[index] if index < len(names) else f"args[{index - len(names)}]"


def _same(one: Any, other: Any) -> bool:
    """Methods are made anew whenever they are looked up."""
    return one is other or (inspect.ismethod(one) and inspect.ismethod(other) and one == other)


def _is_name(text: str) -> bool:
    return text.isidentifier() and not iskeyword(text)


def _folded(line: str) -> str:
    """A long line broken after commas, as one argument of a call."""
    cuts = [each.end[1] for each in tokenize.generate_tokens(io.StringIO(line).readline) if each.string == ","]
    lines = [""]
    for start, end in pairwise((0, *cuts)):
        piece = line[start:end] if lines[-1] else line[start:end].lstrip()
        if len(lines[-1]) + len(piece) > WIDTH and lines[-1]:
            lines.append("")
            piece = piece.lstrip()
        lines[-1] += piece
    return "".join(f"    {'    ' if index else ''}{each}\n" for index, each in enumerate(lines))


def _block(content: bytes) -> str:
    return f'base64.b64decode("""\n{base64.encodebytes(content).decode()}""")'


def _comment(name: str, value: Any) -> str:
    """The source of a function or class, or of that of an object, where it is somebody's own."""
    subject: Any = inspect.unwrap(value) if callable(value) else value
    subject = getattr(subject, "__self__", subject)
    if not inspect.isfunction(subject) and not inspect.isclass(subject):
        subject = cast("Any", type(subject))
    module = sys.modules.get(subject.__module__)
    if module is not None and pickles.is_importable(module):
        return ""
    try:
        lines = textwrap.dedent(inspect.getsource(subject)).splitlines()
    except (OSError, TypeError):
        return ""
    shown = (printable(line.expandtabs()) for line in lines)
    return "".join(f"{line}".rstrip() + "\n" for line in (f"# {name}:", *(f"#     {line}" for line in shown)))


def quoted(value: str) -> str:
    """As formatters write it: in double quotes."""
    written = repr(value)
    return f'"{written[1:-1]}"' if written[0] == "'" and '"' not in written else written
