"""Bad input gets an error that names the field, the value, what was expected and the fix, before any model is loaded."""

import json

import pytest
import yaml
from support import DEMO, ROOT

from rookery.flows.recipe_file import RecipeError, load, parse

GOOD = {"name": "a", "engines": {"main": {"engine": "fake"}}, "generate": {"method": "magpie", "rows": 3}}


def refused(**changes):
    tree = json.loads(json.dumps({**GOOD, **changes}))
    with pytest.raises(RecipeError) as fault:
        parse(tree)
    return str(fault.value)


def model_folder(path, template: bool):
    path.mkdir()
    (path / "config.json").write_text("{}")
    (path / "tokenizer_config.json").write_text(json.dumps({"chat_template": "x"} if template else {}))
    return str(path)


def test_a_good_recipe_has_defaults_for_the_rest():
    recipe = parse(json.loads(json.dumps(GOOD)))
    assert recipe.answer[0].k >= 2
    assert recipe.fingerprint() == parse(json.loads(json.dumps(GOOD))).fingerprint()
    assert recipe.fingerprint() != parse({**GOOD, "seed": 1}).fingerprint()


def test_an_unknown_key_is_refused_with_the_nearest_right_one():
    assert "generate.temprature: unknown key; did you mean 'temperature'?" in refused(
        generate={"method": "magpie", "rows": 3, "temprature": 1}
    )
    assert "anser: unknown key; did you mean 'answer'?" in refused(anser={})


def test_all_faults_are_told_at_once():
    told = refused(seed=-1, generate={"method": "magpie", "rows": 0, "foo": 1})
    assert "seed: -1" in told
    assert "generate.rows: 0: Input should be greater than 0" in told
    assert "generate.foo: unknown key" in told


@pytest.mark.parametrize("rows", [0, -5, "many", None])
def test_rows_must_be_positive(rows):
    assert "generate.rows" in refused(generate={"method": "magpie", "rows": rows})


def test_rows_must_be_given():
    assert "generate.rows: missing" in refused(generate={"method": "magpie"})


def test_a_missing_model_folder_is_named():
    told = refused(engines={"main": {"engine": "vllm", "model": "/no/such/model"}})
    assert "engines.main.model: no folder /no/such/model" in told


def test_a_name_that_is_neither_a_folder_nor_on_the_hub_is_refused():
    assert "neither a folder here nor to be had from the Hub" in refused(
        engines={"main": {"engine": "vllm", "model": "nobody/nothing"}}
    )


def test_a_folder_that_holds_no_model_is_refused(tmp_path):
    assert "has no config.json" in refused(engines={"main": {"engine": "vllm", "model": str(tmp_path)}})


def test_a_model_without_a_chat_template_is_refused(tmp_path):
    folder = model_folder(tmp_path / "base", template=False)
    assert "has no chat template" in refused(engines={"main": {"engine": "vllm", "model": folder}})


def test_a_step_that_names_no_engine_of_the_recipe_is_refused():
    assert "no engine judge, which a step names; there is main" in refused(judge={"method": "pointwise", "engine": "judge"})


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ({"to_short": {"chars": 3}}, "no rule 'to_short'; did you mean 'too_short'?"),
        ({"too_short": {}}, "rule too_short needs 'chars'"),
        ({"too_short": {"chars": "three"}}, "chars is 'three', expected int"),
        ({"too_short": {"chars": 3, "words": 2}}, "rule too_short has no setting 'words'"),
        ({"partition": {}}, "no rule 'partition'"),
    ],
)
def test_rules_are_checked(rules, told):
    assert told in refused(clean={"rules": rules})


def test_settings_are_laid_over_the_file(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(yaml.safe_dump(GOOD))
    recipe = load(path, ["generate.rows=9", "answer.method=independent", "answer.k=2", "name=b"])
    assert (recipe.generate.rows, recipe.answer[0].k, recipe.name) == (9, 2, "b")
    with pytest.raises(RecipeError, match=r"expected path.to.key=value"):
        load(path, ["generate.rows"])


def test_a_file_that_is_not_there_names_its_neighbours(tmp_path):
    (tmp_path / "demo.yaml").write_text("x: 1")
    with pytest.raises(RecipeError, match=r"no recipe .*demu.yaml.*there is demo.yaml"):
        load(tmp_path / "demu.yaml")


@pytest.mark.parametrize("text", ["- a\n- b", "a: [", "\x00", ""])
def test_a_file_that_is_no_recipe_is_refused(tmp_path, text):
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=r"r\.yaml"):
        load(path)


def test_model_paths_are_meant_relative_to_the_recipe(tmp_path):
    (tmp_path / "model").symlink_to(DEMO / "chat")
    tree = {**GOOD, "engines": {"main": {"engine": "vllm", "model": "model"}}}
    assert parse(tree, tmp_path).engines["main"].model == str(DEMO / "chat")


@pytest.mark.parametrize("path", sorted((ROOT / "data" / "recipes").glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_recipes_are_good(path):
    load(path)


def test_a_recipe_may_extend_another_of_its_folder(tmp_path):
    (tmp_path / "a.yaml").write_text(
        "name: a\nseed: 3\nengines: {main: {engine: fake, words: 5}}\ngenerate: {method: magpie, rows: 4}\n"
        "judge: {method: pointwise, answers_first: true}\nanswer: {k: 2}\n"
    )
    (tmp_path / "b.yaml").write_text(
        "extends: a.yaml\nname: b\nengines: {main: {words: 9}}\njudge: {method: aspects}\nanswer: {k: 3}\n"
    )
    recipe = load(tmp_path / "b.yaml")
    assert (recipe.name, recipe.seed, recipe.engines["main"].words, recipe.generate.rows) == ("b", 3, 9, 4)
    assert (recipe.judge.method, recipe.answer[0].k) == ("aspects", 3)


@pytest.mark.parametrize("other", ["b.yaml", "a.yaml", "../a.yaml", "[1]"])
def test_a_recipe_extends_no_circle_and_no_other_folder(tmp_path, other):
    (tmp_path / "a.yaml").write_text("extends: b.yaml\n")
    (tmp_path / "b.yaml").write_text(f"extends: {other}\nname: b\n")
    with pytest.raises(RecipeError, match="extends"):
        load(tmp_path / "b.yaml")


def test_a_recipe_that_was_written_out_in_full_is_still_the_recipe():
    """A run writes every default down, and deployments and `retry` read that."""
    recipe = parse({**GOOD, "judge": {"method": "pairwise"}})
    assert parse(recipe.model_dump(mode="json")) == recipe
