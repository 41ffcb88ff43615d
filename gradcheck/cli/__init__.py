"""The command line: arguments in, a report and an exit code out."""

from gradcheck.cli import campaigns as campaigns  # its commands enter themselves
from gradcheck.cli import checks as checks
from gradcheck.cli.app import main

__all__ = ["main"]
