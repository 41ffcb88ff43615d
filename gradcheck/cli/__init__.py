"""The command line: arguments in, a report and an exit code out.

No command is imported here: `gradcheck.cli.commands` is where a new one enters itself.
"""

from gradcheck.cli.watched import main

__all__ = ["main"]
