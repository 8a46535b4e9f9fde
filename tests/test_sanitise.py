"""The sanitiser, rule by rule: what each takes, what it leaves alone, and the original's traps."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rookery.generators.sanitise import RULES, counts, sanitise

CASES = {
    "number": [
        ("12. Write a poem about rain.", "Write a poem about rain."),
        ("abc) Write a poem about rain.", "Write a poem about rain."),
        ("3) Write a poem about rain.", "Write a poem about rain."),
    ],
    "label": [
        ("Task: Sort these numbers 3 1 2.", "Sort these numbers 3 1 2."),
        ("**Prompt** : Sort these numbers.", "Sort these numbers."),
        ("**Original Prompt:** Sort these numbers.", "Sort these numbers."),
        ("## Problem: Sort these numbers.", "Sort these numbers."),
        ("Question 3: What is a heron?", "What is a heron?"),
        ("Question 3. What is a heron?", "What is a heron?"),
        ("Part 3: What is a heron?", "What is a heron?"),
        ("Q3. What is a heron?", "What is a heron?"),
        ("Q3: What is a heron?", "What is a heron?"),
        ("the problem: What is a heron?", "What is a heron?"),
        ("INSTRUCTIONS: Sort these numbers.", "Sort these numbers."),
        *[(f"{word}: Sort these now.", "Sort these now.") for word in "Scenario Situation Context Challenge Query".split()],
        *[(f"{word}: Sort these now.", "Sort these now.") for word in ("Request", "Description", "Descriptions")],
    ],
    "bold": [("**What is a heron?**", "What is a heron?"), ("*What is a heron? Be brief.*", "What is a heron? Be brief.")],
    "quoted": [('"What is a heron?"', "What is a heron?"), ("“Describe a heron.”", "Describe a heron.")],
    "html_bold": [("<b>Describe a heron</b>", "Describe a heron")],
    "speaker": [
        ("What is a heron?\nassistant\nA bird.", "What is a heron?"),
        ("What is a heron?\n\n**Assistant:** A bird.", "What is a heron?"),
        ("What is a heron?\nAI: A bird.", "What is a heron?"),
    ],
    "answer_marker": [
        ("What is 2 + 2?\nAnswer: 4", "What is 2 + 2?"),
        ("What is 2 + 2? Answer: 4", "What is 2 + 2?"),
        ("What is 2 + 2?\nThe answer is 4.", "What is 2 + 2?"),
        ("What is 2 + 2?\n**Solution:** 4", "What is 2 + 2?"),
        ("What is 2 + 2?\nExplanation: it is four.", "What is 2 + 2?"),
        ("What is 2 + 2?\nCorrect answer 4", "What is 2 + 2?"),
        ("Name birds of the marsh.\nHere are some birds.", "Name birds of the marsh."),
    ],
    "step_1": [
        ("Solve x + 2 = 5 for x.\n## Step 1: Subtract 2", "Solve x + 2 = 5 for x."),
        ("Solve x + 2 = 5 for x.\n# Step 1\nSubtract", "Solve x + 2 = 5 for x."),
        ("Solve x + 2 = 5 for x.\n### Step 1 Subtract", "Solve x + 2 = 5 for x."),
    ],
    "announced": [("Solve this equation:\nx + 2 = 5\n# Solution\nx = 3", "Solve this equation:\nx + 2 = 5")],
    "first_paragraph": [
        ("Why do herons wade? Sure, I can help.", "Why do herons wade?"),
        ("Why do herons wade?\n\nHerons wade because they fish.", "Why do herons wade?"),
    ],
}


@pytest.mark.parametrize(("rule", "raw", "clean"), [(rule, *case) for rule, cases in CASES.items() for case in cases])
def test_each_rule_takes_what_it_is_named_for(rule, raw, clean):
    made = sanitise(raw)
    assert made.text == clean
    assert rule in made.fired


def test_every_rule_has_a_case():
    assert {rule.__name__ for rule in RULES} == set(CASES)


KEPT = [
    "I have a dict d. Is d ordered? And how do I sort it by value?",
    "How many legs does a heron have? Give a number only.",
    "Translate into French:\nThe heron stands in the reeds.",
    "What does this code print?\n\n```python\nfor i in range(3):\n\n    print(i)\n```",
    "Sort these birds:\n\n- heron\n- curlew\n- avocet",
    "Write about my assistant manager and her answer to the board.",
    "Is the answer to life 42?",
    "What can I do in Belwick? Answer with 4 numbered steps.",
    "What is a heron? No more than three words, please.",
    "Which of these is odd? Let me know why.",
    '"To be or not to be": who says this, and in which play?',
    "f(x) = 3x + 1. What is f(2)?",
    "Write a question for a quiz about herons.",
    "次の文を英語に訳してください。",
]


@pytest.mark.parametrize("text", KEPT)
def test_a_clean_instruction_is_left_alone(text):
    assert sanitise(text).text == text
    assert sanitise(text).fired == ()


def test_the_colon_bug_of_the_original_is_mended():
    assert sanitise("What is two and two?\nAnswer: 4").text == "What is two and two?"


def test_a_text_that_is_all_answer_leaves_nothing():
    assert sanitise("Here are some: one, two").text == ""


def test_a_label_alone_is_not_taken_to_nothing():
    assert sanitise("Question:").text == "Question:"


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=120) | st.lists(st.sampled_from([raw for cases in CASES.values() for raw, _ in cases])).map("\n".join))
def test_rules_only_take_away_and_say_when_they_fire(text):
    made = sanitise(text)
    assert len(made.text) <= len(text)
    assert (made.text == text.strip()) == (made.fired == ())
    assert made.text == made.text.strip()


def test_counts_name_every_rule():
    counted = counts(["label first_paragraph", "label", ""])
    assert counted["label"] == 2
    assert counted["first_paragraph"] == 1
    assert set(counted) == {rule.__name__ for rule in RULES}
