"""A report as one Python file that asks again: the call and what it needs, what was found, and a comparison."""

import platform
import sys
import textwrap

from gradcheck.errors import OutputError, shortened
from gradcheck.foundation.versions import version
from gradcheck.foundation.wording import printable
from gradcheck.report.reproducer.source import WIDTH, Writer, quoted
from gradcheck.verdict.outcome import Outcome

FRAMEWORKS = ("numpy", "scipy", "autograd", "jax", "torch")

FILE = '''"""{docstring}"""

{imports}

{definitions}EXPECTED = {{
{expected}}}

try:
{attempt}except gradcheck.GradcheckError as error:
    sys.exit(repr(f"no report: {{error}}")[1:-1])
print(report)

found = {{(each.name, each.backend): str(each.verdict) for each in report.findings}}
differing = [
    f"{{name}} of {{backend}}: expected {{EXPECTED.get((name, backend))}}, got {{found.get((name, backend))}}"
    for name, backend in sorted(EXPECTED.keys() | found.keys())
    if EXPECTED.get((name, backend)) != found.get((name, backend))
]
sys.exit(repr("; ".join(differing))[1:-1] or 0)
'''
DOCSTRING = """`gradcheck.{function}` found: {verdict}.
{blocks}
Found by {finder}.

Run this file with Python: it asks again and prints the report. It exits with 0 if the same blocks get the same
verdicts, else with 1 and one line that says what differs.
{needs}"""


def text(report: Outcome, finder: str = "") -> str:
    """The file; raises `OutputError` where the report does not know its call, or an argument cannot be written down.

    Who found it, if it was not this process, is said by ``finder``, one line.
    """
    call = report.recipe.call
    if call is None:
        raise OutputError("cannot be reproduced: no check returned this report, it was built or changed afterwards")
    writer = Writer()
    source = writer.call(call)
    definitions = "".join(f"{each}\n\n" for each in writer.definitions())  # before what is imported: they add to it
    verdicts = {(finding.name, finding.backend): str(finding.verdict) for finding in report.findings}
    return FILE.format(
        docstring=_docstring(report, finder, bool(writer.objects)).replace("\\", "\\\\").replace('"""', "'''"),
        imports=writer.imported(),
        definitions=definitions,
        expected="".join(f"    ({quoted(n)}, {quoted(b)}): {quoted(verdict)},\n" for (n, b), verdict in verdicts.items()),
        attempt=textwrap.indent(f"report = {source}\n", "    "),
    )


def _docstring(report: Outcome, finder: str, pickled: bool) -> str:
    blocks = [f"wrong: {', '.join(sorted(report.wrong))}"] if report.wrong else []
    for diagnosis in report.diagnoses[:1]:
        numbers = ", ".join(f"{key} = {value}" for key, value in diagnosis.evidence.items())
        blocks.append(f"cause: {diagnosis.name}: {diagnosis.cause}" + (f" ({numbers})" if numbers else ""))
    needs = "\nWhat is pickled in it needs a Python of the same minor version.\n" if pickled else ""
    return DOCSTRING.format(
        needs=needs,
        function=report.recipe.function,
        verdict=report.verdict,
        blocks="".join(f"{textwrap.fill(shortened(printable(line)), WIDTH)}\n" for line in ["", *blocks]),
        finder=textwrap.fill(printable(finder), WIDTH) or _this_process(),
    )


def _this_process() -> str:
    libraries = ", ".join(f"{name} {version(name)}" for name in FRAMEWORKS if name in sys.modules)
    return f"gradcheck {version('gradcheck')} with Python {platform.python_version()}, {libraries}"
