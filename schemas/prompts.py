"""Prompts are files; `fill` puts values in and refuses what does not fit.

A placeholder is `{{name}}`. A value is inserted once and never read again as a template, so a user's text with braces in
it is safe. Nothing else is touched: white space at the end of a prompt can matter (Deita's scorers end in a blank).
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

PROMPTS = Path(__file__).resolve().parent.parent / "data" / "prompts"
_PLACEHOLDER = re.compile(r"\{\{\s*([a-z_][a-z0-9_]*)\s*\}\}")


@cache
def prompt(name: str) -> str:
    """The text of a shipped prompt, such as `judge/pointwise`, without the newline that ends the file.

    Raises:
        FileNotFoundError: with the prompts that exist in that folder.
    """
    path = PROMPTS / f"{name}.txt"
    if not path.is_file():
        near = sorted(p.relative_to(PROMPTS).with_suffix("").as_posix() for p in path.parent.glob("*.txt"))
        raise FileNotFoundError(f"no prompt {name!r} in {PROMPTS}; that folder has: {', '.join(near) or 'nothing'}")
    return path.read_text(encoding="utf-8").removesuffix("\n")


def names(template: str) -> set[str]:
    """The placeholders of a template."""
    return set(_PLACEHOLDER.findall(template))


def fill(template: str, **values: str) -> str:
    """The template with every placeholder replaced.

    Raises:
        ValueError: for a placeholder without a value, and for a value without a placeholder.
    """
    wanted, given = names(template), set(values)
    if wanted != given:
        raise ValueError(
            f"prompt and values do not fit: missing {sorted(wanted - given) or 'none'}, "
            f"unused {sorted(given - wanted) or 'none'}; the prompt begins {template[:60]!r}"
        )
    return _PLACEHOLDER.sub(lambda found: values[found.group(1)], template)
