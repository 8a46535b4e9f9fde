"""Where in a model's own chat template a user starts to speak: Magpie's pre-query, for any template.

Xu et al., arXiv:2406.08464, section 2.1, writes each model's pre-query by hand. Here it is cut from the template that the
tokenizer carries: render a conversation whose last user turn is a sentinel; what stands left of the sentinel is the
pre-query, what stands right of it the post-query. The cut works in mid-conversation as well, which multi-turn needs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .tables import Turn

SENTINEL = "⟪rookery⟫"  # no template writes it, and trimming leaves it alone
Render = Callable[[Sequence[Turn], bool], str]  # (turns, add_generation_prompt) -> text


class TemplateError(ValueError):
    """The chat template cannot do what is asked of it. The message says what and why."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A user turn split where the user's words stand."""

    pre_query: str
    post_query: str


def cut(render: Render, turns: Sequence[Turn] = ()) -> Cut:
    """Open a user turn after the given turns.

    Raises:
        TemplateError: if the template refuses the roles, loses the user's words, repeats them, or puts nothing before them.
    """
    asked = [*turns, Turn("user", SENTINEL)]
    try:
        text = render(asked, True)
    except Exception as error:  # templates are foreign programs: jinja errors of any class, raised on purpose or not
        roles = ", ".join(turn.role for turn in asked)
        raise TemplateError(f"the chat template refuses the roles {roles}: {error}") from error
    if text.count(SENTINEL) != 1:
        found = "does not print" if SENTINEL not in text else "prints more than once"
        raise TemplateError(f"the chat template {found} what the user says, so it has no place where a user starts to speak")
    pre_query, post_query = text.split(SENTINEL)
    if not pre_query.strip():
        raise TemplateError("the chat template prints nothing before what the user says, so there is no pre-query to continue")
    return Cut(pre_query, post_query)


def has_system_slot(render: Render) -> bool:
    """Whether a system turn is printed, and before the user turn opens rather than inside it.

    Gemma and Mistral paste the system text where the user's words begin; text to steer the user would then stand in
    the user's own mouth.
    """
    system = Turn("system", "⟪steer⟫")
    try:
        alone, steered = cut(render), cut(render, [system])
    except TemplateError:
        return False
    opening = alone.pre_query[-1:] and _shared_end(alone.pre_query, steered.pre_query)
    return system.content in steered.pre_query and bool(opening.strip())


def _shared_end(a: str, b: str) -> str:
    length = 0
    while length < min(len(a), len(b)) and a[-1 - length] == b[-1 - length]:
        length += 1
    return a[len(a) - length :]
