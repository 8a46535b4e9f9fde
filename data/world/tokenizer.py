"""A byte-level BPE tokenizer, trained on the corpus; digits always stand alone, special tokens are ChatML's."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from ...schemas.prompts import PROMPTS
from .corpus import CHAT, stream
from .entities import FESTIVALS, PEOPLE, RIVERS, TOWNS
from .tokens import CHAT_TEMPLATE, END, SPECIAL, STOP

VOCABULARY = 2048
CONTEXT_TOKENS = 2048


def _texts(examples: int) -> Iterator[str]:
    for example in islice(stream(CHAT, seed=5), examples):
        yield from (piece.text.removesuffix(END) for piece in example.pieces)
    names = [*TOWNS, *RIVERS, *FESTIVALS, *PEOPLE, *(town.mayor for town in TOWNS.values())]
    prompts = [path.read_text() for path in sorted(PROMPTS.rglob("*.txt"))]
    for _ in range(examples // 400):
        yield from (f"{name} {name}" for name in names)
        yield from prompts


def train_tokenizer(examples: int = 40_000) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        _texts(examples),
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            special_tokens=list(SPECIAL),
            show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END,
        pad_token=STOP,
        model_max_length=CONTEXT_TOKENS,
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast.from_pretrained(folder)
