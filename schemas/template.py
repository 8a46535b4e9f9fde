"""Where in a model's own chat template a user starts to speak: Magpie's pre-query, for any template.

Xu et al., arXiv:2406.08464, section 2.1, writes each model's pre-query by hand. Here it is cut from the template that the
tokenizer carries: render a conversation whose last user turn is a sentinel; what stands left of the sentinel is the
pre-query, what stands right of it the post-query. The cut works in mid-conversation as well, which multi-turn needs.

`pieces` takes the cuts apart further: the user's header is what stands between the end of an answer and the next user's
words, so what an opening has in front of that header is the template's own system turn, and can be left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from .errors import PlainError
from .tables import Turn

SENTINEL = "⟪rookery⟫"  # no template writes it, and trimming leaves it alone
STEER = "⟪steer⟫"
ANSWER = "⟪answer⟫"
_MARK = re.compile(r"<[^<>\s]{1,40}>|\[/?[A-Za-z_|]{1,20}\]")  # what special tokens look like
Render = Callable[[Sequence[Turn], bool], str]  # (turns, add_generation_prompt) -> text


class TemplateError(PlainError, ValueError):
    """The chat template cannot do what is asked of it. The message says what and why."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A user turn split where the user's words stand."""

    pre_query: str
    post_query: str


@dataclass(frozen=True, slots=True)
class Pieces:
    """How a template writes a user's turn, in every form that Magpie needs."""

    pre_query: str  # a conversation's first words up to the user's, default system turn included
    bare: str  # the same without the default system turn
    default_system: str  # the system turn that nobody asked for; empty if there is none
    steered: str | None  # with a system turn, whose text stands as STEER; None if the model has no system slot
    follow_up: str | None  # from the end of an answer's words to the next user's; None if the template refuses
    user_header: str  # what opens a user's turn, and nothing else
    end_of_turn: str  # what closes a user's turn
    answer_opening: str  # what the template writes before the answer; may open reasoning

    @property
    def opens_reasoning(self) -> bool:
        """Whether an answer starts inside of reasoning that the template opened."""
        return self.answer_opening.rstrip().endswith(("<think>", "[THINK]", "<|START_THINKING|>"))


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
    try:
        alone, steered = cut(render), cut(render, [Turn("system", STEER)])
    except TemplateError:
        return False
    return STEER in steered.pre_query and bool(_shared_end(alone.pre_query, steered.pre_query).strip())


def pieces(render: Render, bos: str = "") -> Pieces:
    """Take the template apart. `bos` is the tokenizer's BOS, which is no part of a system turn.

    Raises:
        TemplateError: as `cut`.
    """
    alone = cut(render)
    end_of_turn = _after(render([Turn("user", SENTINEL)], False), SENTINEL)
    if not alone.post_query.startswith(end_of_turn):  # a template that ends a lone turn in another way
        end_of_turn = ""
    follow_up = _between_turns(render)
    header = _header(render, follow_up, alone.pre_query, end_of_turn)
    before = alone.pre_query.removesuffix(header)
    prefix = before if not _MARK.sub("", before).strip() else bos if bos and before.startswith(bos) else ""
    slot = has_system_slot(render)
    return Pieces(
        pre_query=alone.pre_query,
        bare=prefix + header,
        default_system=before.removeprefix(prefix),
        steered=cut(render, [Turn("system", STEER)]).pre_query if slot else None,
        follow_up=follow_up,
        user_header=header,
        end_of_turn=end_of_turn,
        answer_opening=alone.post_query.removeprefix(end_of_turn),
    )


def _between_turns(render: Render) -> str | None:
    try:
        text = cut(render, [Turn("user", "?"), Turn("assistant", ANSWER)]).pre_query
    except TemplateError:
        return None
    return _after(text, ANSWER) if ANSWER in text else None


def _header(render: Render, follow_up: str | None, opening: str, end_of_turn: str) -> str:
    """The user's header: what a follow-up has after the end of the answer. The whole opening if that cannot be told."""
    if follow_up is None:
        return opening
    try:
        end_of_answer = _after(render([Turn("user", "?"), Turn("assistant", ANSWER)], False), ANSWER)
    except Exception:  # as in `cut`
        end_of_answer = end_of_turn
    for end in (end_of_answer, end_of_turn):  # gpt-oss ends a last answer in another way than one in mid-conversation
        header = follow_up.removeprefix(end)
        if follow_up.startswith(end) and header.strip() and opening.endswith(header):
            return header
    return opening


def _after(text: str, mark: str) -> str:
    return text.rsplit(mark, 1)[-1]


def _shared_end(a: str, b: str) -> str:
    length = 0
    while length < min(len(a), len(b)) and a[-1 - length] == b[-1 - length]:
        length += 1
    return a[len(a) - length :]
