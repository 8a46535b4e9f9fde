"""Deita's scorers, the guard, likelihoods for IFD: prompts byte for byte, nothing made up where a model says nothing."""

import asyncio

import numpy as np
import pytest

from rookery.filters.deita import DIGITS, Deita, exchanges, expectation
from rookery.filters.ifd import Likelihood
from rookery.schemas.llm import Choice
from rookery.schemas.prompts import fill, prompt
from rookery.schemas.tables import Chat, Sampling, Turn

COMPLEXITY = (
    "You are a helpful assistant. Please identify the complexity score of the following user query. \n"
    "##Query: Why?  \n##Complexity: "
)
QUALITY = (
    "You are a helpful assistant. Please identify the quality score of the Response corresponding to the Question. \n"
    " #Question#:\nWhy?\n#Response#:\nBecause. \n##Quality: "
)


class Digits:
    """A judge by hand: certain of one digit, and remembers what it was asked."""

    model, revision = "digits", "1"

    def __init__(self, *digits, mass=1.0, error=""):
        self.digits, self.mass, self.error, self.asked = list(digits), mass, error, []

    async def choose(self, asked, options):
        self.bare = isinstance(asked, str)
        self.asked.append(asked if self.bare else asked[-1].content)
        if self.error:
            return Choice(finish="error", error=self.error)
        digit = self.digits[(len(self.asked) - 1) % len(self.digits)]
        return Choice({option: float(option == digit) for option in options}, self.mass)


def chat(*turns):
    said = [Turn(role, content) for role, content in turns]
    return Chat("c1", [], said, "given", "m", "r", Sampling(0, 1, 1, 0), "stop", 0, 0)


def scored(step, row, *llms):
    return {score.name: score for score in asyncio.run(step(row, *llms))}


ONE = chat(("user", "Why?"), ("assistant", "Because."))


def test_prompts_are_the_authors_byte_for_byte():
    assert fill(prompt("deita/complexity"), instruction="Why?") == COMPLEXITY
    assert fill(prompt("deita/quality"), instruction="Why?", output="Because.") == QUALITY
    c, q = Digits("5"), Digits("4")
    scores = scored(Deita(), ONE, c, q)
    assert (c.asked, q.asked) == ([COMPLEXITY], [QUALITY])
    assert (c.bare, q.bare) == (True, True)
    assert {name: score.value for name, score in scores.items()} == {"complexity.0": 5, "quality.0": 4, "deita": 20}


def test_a_judge_that_chats_gets_the_same_words_as_a_message():
    c, q = Digits("5"), Digits("4")
    assert scored(Deita(bare=False), ONE, c, q)["deita"].value == 20
    assert (c.asked, q.asked) == ([COMPLEXITY], [QUALITY])
    assert (c.bare, q.bare) == (False, False)


def test_digits_go_on_from_the_blank_that_ends_the_prompt():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    from rookery.flows.engines.tokens import option_ids

    letters = sorted({*COMPLEXITY.replace(" ", "▁"), *QUALITY.replace(" ", "▁"), *DIGITS, "▁"})
    llama = Tokenizer(models.BPE({letter: number for number, letter in enumerate(letters)}, []))
    llama.pre_tokenizer, llama.decoder = pre_tokenizers.Metaspace(prepend_scheme="first"), decoders.Metaspace()
    llama = PreTrainedTokenizerFast(tokenizer_object=llama)
    assert len(llama.encode("1")) == 2  # a blank comes first, as in LLaMA's and Mistral's tokenizers
    with pytest.raises(ValueError, match="do not begin with different tokens"):
        option_ids(llama, DIGITS)
    for asked in (COMPLEXITY, QUALITY):
        assert option_ids(llama, DIGITS, after=asked) == [letters.index(digit) for digit in DIGITS]
        assert llama.encode(asked)[-1] == letters.index("▁")

    merged = {**{"Ġ": 0, ":": 1}, **{digit: 2 + i for i, digit in enumerate(DIGITS)}}
    gpt2 = Tokenizer(models.BPE({**merged, **{f"Ġ{d}": 8 + i for i, d in enumerate(DIGITS)}}, [("Ġ", d) for d in DIGITS]))
    gpt2.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    assert option_ids(PreTrainedTokenizerFast(tokenizer_object=gpt2), DIGITS, after=": ") == [merged[digit] for digit in DIGITS]


def test_expectation():
    assert expectation(dict.fromkeys(DIGITS, 0.1)) == pytest.approx(3.5)
    assert expectation({"1": 0.5, "6": 0.5, "2": 0, "3": 0, "4": 0, "5": 0}) == 3.5
    with pytest.raises(ValueError, match="digits 6"):
        expectation(dict.fromkeys("12345", 0.2))


def test_turns_are_scored_alone_and_summed():
    row = chat(("system", "Be brief."), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d"), ("user", "e"))
    assert exchanges(row.turns) == [("a", "b"), ("c", "d"), ("e", "")]
    quality = Digits("3", "3", "4")
    assert scored(Deita(), row, Digits("2"), quality)["deita"].value == 2 * 3 + 2 * 3 + 2 * 4
    assert "b" not in quality.asked[1]
    for reduction, value in (("mean", 20 / 3), ("max", 8), ("first", 6)):
        total = scored(Deita(reduction=reduction), row, Digits("2"), Digits("3", "3", "4"))["deita"]
        assert total.value == pytest.approx(value)


def test_what_was_not_said_is_null_with_a_reason():
    for silent in (Digits("3", mass=0.001), Digits(error="engine died")):
        scores = scored(Deita(), ONE, Digits("3"), silent)
        assert scores["quality.0"].value is scores["deita"].value is None
        assert scores["quality.0"].reason in ("engine died", "only 0.001 of the probability is on digits")
        assert scores["deita"].reason == "1 of 1 turns have no score"
    assert scored(Deita(), chat(("assistant", "hi")), Digits("3"), Digits("3"))["deita"].reason == "no exchange"


def test_a_long_answer_loses_its_beginning_and_says_so():
    long = chat(("user", "Why?"), ("assistant", "x" * 50 + "the end"))
    quality = Digits("3")
    scores = scored(Deita(most_chars=7), long, Digits("3"), quality)
    assert quality.asked[0].endswith("#Response#:\nthe end \n##Quality: ")
    assert scores["quality.0"].reason == "the last 7 characters"


def test_likelihoods_are_of_the_same_tokens_in_any_batch(tmp_path):
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"<unk>": 0, "<s>": 1, "a": 2, "b": 3, "c": 4}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", bos_token="<s>").save_pretrained(tmp_path)
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=5, **shape))
    model.save_pretrained(tmp_path)

    questions, answers = ["a b c", "c", "b b"], ["b c a", "a", ""]
    given, alone = Likelihood(str(tmp_path), device="cpu").nats(questions, answers)
    each = [Likelihood(str(tmp_path), device="cpu", batch=1).nats([q], [a]) for q, a in zip(questions, answers, strict=True)]
    assert given == pytest.approx(np.concatenate([g for g, _ in each]), abs=1e-5, nan_ok=True)
    assert alone == pytest.approx(np.concatenate([a for _, a in each]), abs=1e-5, nan_ok=True)
    assert np.isnan(given[2])
    with torch.inference_mode():
        ids = torch.tensor([[1, 2, 3, 4, 3, 4, 2]])
        loss = torch.nn.functional.cross_entropy(model.eval()(ids).logits[0, 3:6], ids[0, 4:])
    assert given[0] == pytest.approx(float(loss), abs=1e-4)
