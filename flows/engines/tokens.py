"""From a conversation to token ids: the tokenizer's own template, and never a second BOS.

A rendered template holds its BOS already; encoding it "with special tokens" would put another in front. Raw text, on the
other hand, gets what its tokenizer usually adds.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Protocol

from ...schemas.tables import Turn
from ...schemas.template import Cut, TemplateError, cut


class Tokenizer(Protocol):
    """The part of a Hugging Face tokenizer that is used here."""

    chat_template: str | None
    eos_token: str | None
    all_special_tokens: list[str]
    all_special_ids: list[int]

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]: ...
    def apply_chat_template(self, conversation: list[dict[str, str]], **kwargs: object) -> str: ...


class Chatter:
    """One tokenizer's way of writing conversations."""

    def __init__(self, tokenizer: Tokenizer, name: str) -> None:
        if not tokenizer.chat_template:
            raise TemplateError(
                f"{name} has no chat template, so it cannot chat and Magpie cannot open a user turn. Name an aligned "
                "(instruct) model, or set `chat_template` of the engine to a Jinja file."
            )
        self.tokenizer = tokenizer
        self._opened = lru_cache(maxsize=4096)(self._open_user)

    def render(self, turns: Sequence[Turn], add_generation_prompt: bool) -> str:
        """A conversation as the model's text."""
        messages = [{"role": turn.role, "content": turn.content} for turn in turns]
        return self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=add_generation_prompt)

    def answer_ids(self, turns: Sequence[Turn]) -> list[int]:
        """Token ids after which the assistant speaks."""
        return self.tokenizer.encode(self.render(turns, True), add_special_tokens=False)

    def user_ids(self, turns: Sequence[Turn]) -> list[int]:
        """Token ids after which the user speaks: Magpie's pre-query."""
        return self._opened(tuple(turns))

    def user_stops(self) -> tuple[list[int], list[str]]:
        """What ends a user's turn, as token ids and as strings.

        Ids are every special token of the template around the turn. A template that ends a turn with plain words
        (Vicuna's `ASSISTANT:`) gives those words instead.
        """
        edges = self.cut()
        ids = [
            token_id
            for token, token_id in zip(self.tokenizer.all_special_tokens, self.tokenizer.all_special_ids, strict=True)
            if token in edges.post_query or token in edges.pre_query or token == self.tokenizer.eos_token
        ]
        follows = edges.post_query.strip() or edges.post_query
        plain = [] if any(token in edges.post_query for token in self.tokenizer.all_special_tokens) else [follows]
        return sorted(set(ids)), [text for text in plain if text]

    def cut(self, turns: Sequence[Turn] = ()) -> Cut:
        """The user turn of the template, split where the user's words stand."""
        return cut(self.render, turns)

    def _open_user(self, turns: tuple[Turn, ...]) -> list[int]:
        return self.tokenizer.encode(self.cut(turns).pre_query, add_special_tokens=False)


def option_ids(tokenizer: Tokenizer, options: Sequence[str]) -> list[int]:
    """The token with which each option begins.

    Raises:
        ValueError: if two options begin with the same token, for then their probabilities cannot be told apart.
    """
    ids = [tokenizer.encode(option, add_special_tokens=False)[0] for option in options]
    if len(set(ids)) < len(ids):
        raise ValueError(f"options {list(options)} do not begin with different tokens ({ids}); use digits or letters")
    return ids
