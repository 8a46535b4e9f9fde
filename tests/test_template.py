"""The pieces of forty chat templates, cut without knowing the models; one BOS; what ends a user's turn; exceptions."""

import datetime

import pytest
from families import FAMILIES, TEMPLATES, tokenizer
from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.flows.engines.openings import TemplateSpec, table
from rookery.flows.engines.tokens import Chatter
from rookery.schemas.tables import Turn
from rookery.schemas.template import STEER, TemplateError, cut

NAMES = sorted(FAMILIES)
TALK = (Turn("user", "Is 7 prime?"), Turn("assistant", "It is."))


def chatter(family, **settings):
    return Chatter(tokenizer(family), family, TemplateSpec(**settings))


def test_every_template_has_its_facts():
    assert {path.stem for path in TEMPLATES.glob("*.jinja")} == set(FAMILIES)
    assert len(FAMILIES) >= 25


@pytest.mark.parametrize("family", NAMES)
def test_the_pieces_are_cut_from_the_template(family):
    facts, pieces = FAMILIES[family], chatter(family).pieces
    assert pieces.pre_query == facts["pre_query"]
    assert pieces.bare == facts.get("bare", facts["pre_query"])
    assert pieces.end_of_turn == facts["end"]
    assert pieces.answer_opening == facts["answer"]
    assert (pieces.steered is not None) == facts["system_slot"]
    assert pieces.steered is None or STEER in pieces.steered


@pytest.mark.parametrize("family", NAMES)
def test_thinking_can_be_asked_not_to_happen(family):
    facts = FAMILIES[family]
    assert chatter(family).without_thinking().answer_opening == facts.get("quiet", facts["answer"])
    assert chatter(family, thinking=False).pieces.answer_opening == facts.get("quiet", facts["answer"])
    assert chatter(family).pieces.opens_reasoning == facts["answer"].endswith("<think>\n")


@pytest.mark.parametrize("family", NAMES)
def test_a_prompt_has_one_bos_where_the_family_has_one_and_it_decodes_to_itself(family):
    facts, made = FAMILIES[family], chatter(family)
    steer = (Turn("system", "Talk of birds."),) if facts["system_slot"] else ()
    printed = int(bool(facts.get("bos")) and facts["pre_query"].startswith(facts["bos"]))
    for turns in ((), TALK, (*steer, *TALK)):
        ids = made.user_ids(turns)
        repeats = 1 + sum(turn.role == "user" for turn in turns) if family == "llama-2" else 1
        assert ids.count(made.tokenizer.bos_token_id) == printed * repeats
        assert made.tokenizer.decode(ids) == made.pre_query(turns)
    assert made.answer_ids(TALK[:1])[:2].count(made.tokenizer.bos_token_id) <= 1


def test_a_second_bos_is_refused():
    twice = tokenizer("llama-3").__class__(tokenizer_object=tokenizer("llama-3").backend_tokenizer)
    twice.bos_token, twice.eos_token = "<|begin_of_text|>", "<|eot_id|>"
    twice.chat_template = "{{ bos_token + bos_token + messages[0].content }}"
    with pytest.raises(TemplateError, match="two BOS"):
        Chatter(twice, "twice").user_ids(())


@pytest.mark.parametrize("family", NAMES)
def test_an_opening_in_mid_conversation_holds_the_conversation_and_ends_in_the_users_header(family):
    made = chatter(family)
    text = made.pre_query(TALK)
    assert text.endswith(made.pieces.user_header)
    assert text.index("Is 7 prime?") < text.index("It is.")
    assert made.pieces.follow_up is not None
    assert text.endswith("It is." + made.pieces.follow_up)


@pytest.mark.parametrize("family", [name for name in NAMES if not FAMILIES[name]["system_slot"]])
def test_a_model_without_a_system_slot_refuses_to_be_steered(family):
    with pytest.raises(TemplateError, match="no slot for a system prompt"):
        chatter(family).user_ids((Turn("system", "Talk of birds."),))


@pytest.mark.parametrize("family", NAMES)
def test_what_ends_a_users_turn_is_special_and_never_the_bare_role_word(family):
    made = chatter(family)
    ids, texts = made.user_stops()
    around = made.pieces.user_header + made.pieces.end_of_turn + made.pieces.answer_opening
    assert made.tokenizer.eos_token_id in ids
    assert all(made.special[token] in ids for token in made.special if token in around and token != FAMILIES[family].get("bos"))
    closing = FAMILIES[family]["end"] + FAMILIES[family]["answer"]
    assert any(token in closing for token in made.special) or closing.strip() in texts
    assert not {"assistant", "model", "Assistant"} & set(texts)


@pytest.mark.parametrize(
    ("family", "ends"),
    [
        ("llama-3", ["<|eot_id|>", "<|start_header_id|>", "<|end_header_id|>"]),
        ("qwen2.5", ["<|im_start|>", "<|im_end|>"]),
        ("glm-4", ["<|assistant|>", "<|user|>", "<|endoftext|>"]),
        ("gpt-oss", ["<|end|>", "<|start|>", "<|return|>"]),
        ("deepseek-v3", ["<｜Assistant｜>", "<｜User｜>", "<｜end▁of▁sentence｜>"]),
        ("exaone", ["[|assistant|]"]),
    ],
)
def test_the_stops_of_families_that_the_spec_names(family, ends):
    made = chatter(family)
    assert {made.special[token] for token in ends} <= set(made.user_stops()[0])


def test_plain_words_end_the_turn_of_templates_without_special_tokens():
    assert "[/INST]" in chatter("llama-2").user_stops()[1]
    assert "ASSISTANT:" in chatter("vicuna").user_stops()[1]
    assert "### Response:" in chatter("nous-hermes").user_stops()[1]


def test_the_role_word_counts_on_a_line_of_its_own():
    assert chatter("llama-3").user_stops()[1] == ["\nassistant\n"]
    assert chatter("gemma-2").user_stops()[1] == ["\nmodel\n"]


def test_llama_3_1_leaves_its_date_block_out_when_a_user_speaks_and_keeps_it_for_the_answer():
    made = chatter("llama-3.1")
    assert made.pre_query() == FAMILIES["llama-3.1"]["bare"]
    assert "Cutting" not in made.pre_query(TALK)
    assert made.pre_query(TALK).startswith("<|begin_of_text|><|start_header_id|>user")
    assert "Cutting Knowledge Date" in made.render([Turn("user", "Hi")], True)
    assert made.banned_ids(()) == sorted(made.tokenizer.encode("#", add_special_tokens=False))


def test_qwen_2_5_keeps_its_default_system_turn_and_can_be_asked_not_to():
    assert chatter("qwen2.5").pre_query() == FAMILIES["qwen2.5"]["pre_query"]
    assert chatter("qwen2.5", opening="bare").pre_query() == "<|im_start|>user\n"


@pytest.mark.parametrize("family", NAMES)
def test_the_exception_that_fits_is_found_by_the_template_alone(family):
    assert chatter(family).opening.name == FAMILIES[family].get("opening", "template")


def test_the_published_gemma_2_opening_is_had_by_name():
    assert chatter("gemma-2").pre_query() == "<bos><start_of_turn>user\n"
    assert chatter("gemma-2", opening="gemma-2-as-published").pre_query() == "<bos><start_of_turn>user\n\n"
    assert chatter("phi-3", opening="phi-3-as-published").pre_query() == "<s> <|user|>\n"


def test_an_unknown_exception_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=r"no entry 'gemma'.*gemma-2-as-published"):
        chatter("gemma-2", opening="gemma")
    assert len({entry.name for entry in table()}) == len(table())


@pytest.mark.parametrize("family", ["llama-3.2", "gpt-oss"])
def test_a_template_that_prints_today_prints_the_same_day_tomorrow(family):
    day = datetime.date(2027, 3, 4)
    assert ("04 Mar 2027" in chatter(family, today=day).pieces.pre_query) or (
        "2027-03-04" in chatter(family, today=day).pieces.pre_query
    )
    assert TemplateSpec(today=day).identity() != TemplateSpec().identity()


def test_a_jinja_file_takes_the_place_of_a_missing_template(tmp_path):
    bare = tokenizer("qwen3").__class__(tokenizer_object=tokenizer("qwen3").backend_tokenizer, eos_token="<|im_end|>")
    with pytest.raises(TemplateError, match="has no chat template"):
        Chatter(bare, "base")
    path = tmp_path / "own.jinja"
    path.write_text((TEMPLATES / "qwen3.jinja").read_text())
    assert Chatter(bare, "base", TemplateSpec(file=str(path))).pre_query() == "<|im_start|>user\n"
    assert "no file" in TemplateSpec(file=str(tmp_path / "none.jinja")).faults()[0]


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{{ raise_exception('no') }}", "refuses the roles user"),
        ("always the same", "does not print"),
        ("U {{ messages[0].content }} {{ messages[0].content }}", "prints more than once"),
        ("{{ messages[0].content }}", "nothing before"),
    ],
)
def test_a_template_that_cannot_open_a_users_turn_says_why(template, why):
    made = tokenizer("qwen3").__class__(tokenizer_object=tokenizer("qwen3").backend_tokenizer, eos_token="<|im_end|>")
    made.chat_template = template
    with pytest.raises(TemplateError, match=why):
        Chatter(made, "odd").user_ids(())


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=20), st.text(min_size=1, max_size=20), st.text(max_size=20))
def test_whatever_a_template_prints_around_the_user_is_cut_there(system, before, after):
    def render(turns, prompt):
        return system + "".join(f"{before}>{turn.content}{after}" for turn in turns)

    pieces = cut(render)
    assert pieces.pre_query == f"{system}{before}>"
    assert pieces.post_query == after
