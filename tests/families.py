"""A tokenizer of each model family: bytes, the family's special tokens, and our own chat template for it."""

from functools import cache
from pathlib import Path

import yaml
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

TEMPLATES = Path(__file__).parent / "templates"
FAMILIES = yaml.safe_load((TEMPLATES / "families.yaml").read_text(encoding="utf-8"))


@cache
def tokenizer(family: str) -> PreTrainedTokenizerFast:
    facts = FAMILIES[family]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = dict.fromkeys([facts.get("bos"), facts["eos"], *facts["special"]])
    names = [token for token in special if token]
    core = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate([*names, *alphabet])}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(names)
    if bos := facts.get("bos"):  # what makes a second BOS, if a rendered template is encoded "with special tokens"
        pair = (bos, core.token_to_id(bos))
        core.post_processor = processors.TemplateProcessing(single=f"{bos} $A", special_tokens=[pair])
    made = PreTrainedTokenizerFast(tokenizer_object=core, bos_token=facts.get("bos"), eos_token=facts["eos"])
    made.chat_template = (TEMPLATES / f"{family}.jinja").read_text(encoding="utf-8")
    return made
