"""From a conversation to token ids: the tokenizer's own template, and never a second BOS.

A rendered template holds its BOS already; encoding it "with special tokens" would put another in front. Raw text, on the
other hand, gets what its tokenizer usually adds. Special tokens are looked up among all *added* tokens: a tokenizer's
`all_special_tokens` leaves out those that have no role name, such as Llama-3's `<|start_header_id|>`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Protocol

from ...schemas.llm import Reply
from ...schemas.reasoning import CHANNEL, separate
from ...schemas.tables import Turn
from ...schemas.template import Cut, Pieces, Render, TemplateError, cut, pieces
from .openings import Opening, TemplateSpec


class Token(Protocol):
    """A token that was added to the vocabulary."""

    content: str
    special: bool


class Tokenizer(Protocol):
    """The part of a Hugging Face tokenizer that is used here."""

    chat_template: str | Mapping[str, str] | None
    bos_token: str | None
    bos_token_id: int | None
    eos_token: str | None
    eos_token_id: int | None
    added_tokens_decoder: Mapping[int, Token]

    def encode(self, text: str, add_special_tokens: bool = True) -> list[int]: ...
    def decode(self, token_ids: Sequence[int], skip_special_tokens: bool = False) -> str: ...
    def get_chat_template(self, chat_template: str | None = None) -> str: ...
    def apply_chat_template(self, conversation: list[dict[str, str]], **kwargs: object) -> str: ...


def tokenizer_of(model: str, revision: str | None = None) -> Tokenizer:
    """The tokenizer of a model's folder or Hub name, without the model.

    Raises:
        OSError, ValueError: where there is none.
    """
    from transformers import AutoTokenizer  # seconds, so not before it is needed

    # Its special tokens are made by `__getattr__`, and the return types of its methods depend on their arguments.
    return AutoTokenizer.from_pretrained(model, revision=revision)  # type: ignore[return-value]


class Chatter:
    """One tokenizer's way of writing conversations."""

    def __init__(self, tokenizer: Tokenizer, name: str, spec: TemplateSpec | None = None) -> None:
        self.tokenizer, self.name, self.spec = tokenizer, name, spec or TemplateSpec()
        if not tokenizer.chat_template and not self.spec.file:
            raise TemplateError(
                f"{name} has no chat template, so it cannot chat and Magpie cannot open a user turn. Name an aligned "
                "(instruct) model, or set `template.file` of the engine to a Jinja file."
            )
        own = Path(self.spec.file).read_text(encoding="utf-8") if self.spec.file else None
        self.template: str = own if own is not None else tokenizer.get_chat_template()
        self.opening: Opening = self.spec.chosen(self.template)
        self.shows_special = CHANNEL in self.template  # harmony: the channels are special tokens, and are needed
        self._opened = lru_cache(maxsize=4096)(self._open_user)
        self._asked = lru_cache(maxsize=4096)(self._ask)  # a prompt's k candidates ask the same

    def render(self, turns: Sequence[Turn], add_generation_prompt: bool) -> str:
        """A conversation as the model's text."""
        return self._render(turns, add_generation_prompt, self.spec.thinking)

    def answer_ids(self, turns: Sequence[Turn]) -> list[int]:
        """Token ids after which the assistant speaks."""
        return self._asked(tuple(turns))

    def user_ids(self, turns: Sequence[Turn]) -> list[int]:
        """Token ids after which the user speaks: Magpie's pre-query.

        Raises:
            TemplateError: if the template cannot open a user turn here, or has no system slot and is asked to steer.
        """
        return self._opened(tuple(turns))

    def without_reasoning(self, reply: Reply) -> Reply:
        """What the assistant wrote, with what it said to itself apart."""
        if reply.finish == "error":
            return reply
        reasoning, said = separate(reply.text, opened=self.pieces.opens_reasoning)
        return replace(reply, text=said, reasoning=reasoning)

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of tokens, special ones left out."""
        return self.tokenizer.decode(token_ids, skip_special_tokens=True)

    def user_stops(self) -> tuple[list[int], list[str]]:
        """What ends a user's turn, as token ids and as strings.

        Ids are EOS and every special token that the template writes around turns. A template that ends a turn with plain
        words (Vicuna's `ASSISTANT:`) gives those words. The answerer's role word counts only on a line of its own: a model
        that forgets its special tokens writes it there, and elsewhere a user may well say "assistant".
        """
        parts = self.pieces
        around = parts.user_header + parts.end_of_turn + parts.answer_opening
        ids = {token_id for token, token_id in self.special.items() if token in around and token != self.tokenizer.bos_token}
        if self.tokenizer.eos_token_id is not None:
            ids.add(self.tokenizer.eos_token_id)
        closing = parts.end_of_turn + parts.answer_opening
        plain = [] if any(token in closing for token in self.special) else [closing.strip() or closing]
        return sorted(ids), [text for text in [*plain, *self._role_lines()] if text]

    def banned_ids(self, strings: Sequence[str]) -> list[int]:
        """The tokens of those strings that are one token, with those of the opening."""
        encoded = [self.tokenizer.encode(text, add_special_tokens=False) for text in {*strings, *self.opening.ban_first}]
        return sorted(ids[0] for ids in encoded if len(ids) == 1)

    def cut(self, turns: Sequence[Turn] = ()) -> Cut:
        """The user turn of the template, split where the user's words stand."""
        return cut(self.render, turns)

    def without_thinking(self) -> Pieces:
        """The pieces when the template is asked for no thinking."""
        quiet: Render = lambda turns, prompt: self._render(turns, prompt, False)  # noqa: E731
        return pieces(quiet, self.tokenizer.bos_token or "")

    @cached_property
    def pieces(self) -> Pieces:
        """The parts of a user's turn."""
        return pieces(self.render, self.tokenizer.bos_token or "")

    @cached_property
    def special(self) -> dict[str, int]:
        """Every special token and its id."""
        return {token.content: token_id for token_id, token in self.tokenizer.added_tokens_decoder.items() if token.special}

    def pre_query(self, turns: Sequence[Turn] = ()) -> str:
        """The text after which the user speaks, with the exception that holds for this template."""
        if turns and turns[0].role == "system":
            if self.pieces.steered is None:
                raise TemplateError(
                    f"the chat template of {self.name} has no slot for a system prompt before the user's turn, so a prompt "
                    "cannot steer what the user says; leave out domains and the follow-up's system prompt, or take another model"
                )
            return self.cut(turns).pre_query
        if not turns and self.opening.pre_query is not None:
            return self.opening.pre_query
        text = self.cut(turns).pre_query
        return text if self.opening.default_system == "keep" else text.replace(self.pieces.default_system, "", 1)

    def _ask(self, turns: tuple[Turn, ...]) -> list[int]:
        return self._encode(self.render(turns, True))

    def _open_user(self, turns: tuple[Turn, ...]) -> list[int]:
        return self._encode(self.pre_query(turns))

    def _encode(self, text: str) -> list[int]:
        ids = self.tokenizer.encode(text, add_special_tokens=False)
        bos = self.tokenizer.bos_token_id
        if bos is not None and ids[:2] == [bos, bos]:
            raise TemplateError(f"{self.name} would begin with two BOS tokens: its template and its tokenizer both write one")
        return ids

    def _render(self, turns: Sequence[Turn], add_generation_prompt: bool, thinking: bool | None) -> str:
        asked = {} if thinking is None else {"enable_thinking": thinking, "thinking": thinking}
        today = self.spec.today
        return self.tokenizer.apply_chat_template(
            [{"role": turn.role, "content": turn.content} for turn in turns],
            chat_template=self.template,
            tokenize=False,
            add_generation_prompt=add_generation_prompt,
            strftime_now=today.strftime,  # before the library's own, which is the clock
            date_string=today.strftime("%d %b %Y"),
            **asked,
        )

    def _role_lines(self) -> list[str]:
        """The answerer's role word on a line of its own."""
        opening = self.pieces.answer_opening
        for token in sorted(self.special, key=len, reverse=True):
            opening = opening.replace(token, "\n")
        words = re.findall(r"(?m)^\s*([A-Za-z]+)\s*$", opening)
        return [f"\n{word}\n" for word in words[:1]]


def option_ids(tokenizer: Tokenizer, options: Sequence[str], after: str = "") -> list[int]:
    """The token with which each option begins, going on from raw text `after`.

    Alone, SentencePiece writes LLaMA's "1" as a blank and a bare 1; after a prompt that ends with a blank only the bare 1
    is left to say. So an option is encoded with what stands before it. Where the two would share a token (GPT-2's " 1"), a model
    that was given the blank can but say the option without it.

    Raises:
        ValueError: if two options begin with the same token, for then their probabilities cannot be told apart.
    """
    tail = after[-16:]
    before = tokenizer.encode(tail, add_special_tokens=False) if tail else []
    joined = [tokenizer.encode(tail + option, add_special_tokens=False) for option in options]
    goes_on = all(ids[: len(before)] == before and len(ids) > len(before) for ids in joined)
    alone = [tokenizer.encode(option, add_special_tokens=False) for option in options]
    ids = [one[len(before)] for one in joined] if goes_on else [one[0] for one in alone]
    if len(set(ids)) < len(ids):
        raise ValueError(f"options {list(options)} do not begin with different tokens ({ids}); use digits or letters")
    return ids
