"""What all errors have in common whose message is written for a reader."""

from __future__ import annotations


class PlainError(Exception):
    """The message says the value, what was expected and the remedy; the command line prints it without a traceback."""
