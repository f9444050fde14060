"""What the figures are taken to mean, and that what is recommended can be typed."""

import shlex

import click
import numpy as np
import pytest

import headstart
from headstart.cli.main import cli
from headstart.recipe import Recipe
from headstart.reporting.commands import audit_command, changed_command, train_command
from headstart.reporting.gathered import gather
from headstart.reporting.verdict import judge


def sure(label: int, probability: float = 0.97, classes: int = 2) -> list[float]:
    """A row that is sure of a class."""
    row = [(1 - probability) / (classes - 1)] * classes
    row[label] = probability
    return row


def said(make, *rows: tuple[str, list[float]], side: str = "val", at: str = "made", classes=("a", "b"), **metrics):
    """A RUN of which only the tables count."""
    made = make(*classes, at=at)
    for number, (label, row) in enumerate(rows):
        made.row(f"{number}.png", side, label, f"{side}{number}", row)
    for number in range(100):
        made.row(f"t{number}.png", "train", classes[number % len(classes)], f"t{number}")
    return gather(made.write(**metrics))


def good(count: int = 600) -> list[tuple[str, list[float]]]:
    """What a good model says: right in 97 of 100, and so sure."""
    return [("ab"[n % 2], sure(n % 2 if n % 100 >= 3 else 1 - n % 2)) for n in range(count)]


def texts(remarks) -> str:
    return " | ".join(remark.text for remark in remarks)


def test_a_good_model_on_enough_clean_pictures_is_to_be_trusted(make):
    verdict = judge(said(make, *good(), chosen_on_these_pictures=False))
    assert (verdict.tone, verdict.headline) == ("good", "Its figures can be trusted")
    assert {remark.tone for remark in verdict.trust} == {"good"}
    assert "Nothing was chosen on these pictures" in texts(verdict.trust)
    assert verdict.steps[-1].command.startswith("headstart predict ")


def test_one_that_may_be_no_better_than_the_most_frequent_class_is_not(make):
    rows = [("a", sure(0)) for _ in range(80)] + [("b", sure(0)) for _ in range(20)]
    verdict = judge(said(make, *rows))
    assert (verdict.tone, verdict.headline) == ("bad", "Not to be relied on yet")
    assert "no better than naming the most frequent class" in texts(verdict.trust)
    assert "Always answering “a” would give 0.800." in verdict.summary


def test_one_that_is_wrong_more_often_than_right_is_said_to_be_so(make):
    rows = [("abcd"[n % 4], sure((n + (n % 5 > 1)) % 4, 0.9, 4)) for n in range(400)]
    verdict = judge(said(make, *rows, classes=tuple("abcd")))
    assert verdict.tone == "care"
    assert "It is wrong more often than right, though better than guessing." in texts(verdict.trust)


def test_few_pictures_are_said_to_be_few(make):
    verdict = judge(said(make, *good(40), chosen_on_these_pictures=False))
    assert verdict.tone == "care"
    assert "40 pictures are few to judge it by" in texts(verdict.trust)
    assert any(step.command.endswith("--folds 5") for step in verdict.steps)


def test_figures_that_things_were_chosen_on_ask_for_test_pictures(make):
    verdict = judge(said(make, *good(), chosen_on_these_pictures=True))
    assert verdict.tone == "care"
    assert any("--test 0.2" in step.command for step in verdict.steps)


def test_pictures_that_were_trained_on_forbid_to_trust_it(make):
    made = make("a", "b")
    for number, (label, row) in enumerate(good()):
        made.row(f"{number}.png", "val", label, f"d{number}", row)
        made.row(f"t{number}.png", "train", label, f"d{number}" if number < 12 else f"t{number}")
    found = gather(made.write(chosen_on_these_pictures=False))
    verdict = judge(found)
    assert len(found.split.shared) == 12
    assert verdict.tone == "bad"
    assert "12 pictures it is judged by were trained on, too" in texts(verdict.trust)
    assert verdict.steps[0].command == audit_command(found.recipe)


def test_an_interrupted_training_is_to_be_ended_first(make):
    verdict = judge(said(make, *good(), interrupted=True, run="my run"))
    assert "interrupted" in verdict.trust[0].text
    assert verdict.steps[0].command == "headstart train --resume 'my run'"


def test_one_that_did_better_in_cross_validation_than_chance_allows_was_judged_by_other_pictures(make):
    stages = {"head": {"val": {"accuracy": 0.97, "loss": 0.1, "n": 600}, "seconds": 1.0}}
    for accuracy, says in ((0.98, False), (0.999, True)):
        stages["head"]["cross_validated"] = {"linear": {"accuracy": 0.5}, "kernel": {"accuracy": accuracy}}
        verdict = judge(said(make, *good(), at=str(accuracy), stages=stages, chosen_on_these_pictures=False))
        assert ("it had 0.999 of its training pictures right" in texts(verdict.trust)) == says
        assert verdict.tone == ("care" if says else "good")


def test_one_that_is_too_sure_is_said_to_be_so_and_calibrated(make):
    rows = [("ab"[n % 2], sure(n % 2 if n % 10 >= 2 else 1 - n % 2, 0.99)) for n in range(400)]
    verdict = judge(said(make, *rows))
    assert "Its probabilities are off by 0.190 on average: it is surer than it should be." in texts(verdict.trust)
    assert any("--calibrate" in step.command for step in verdict.steps)


def test_why_it_errs_names_the_pair_the_class_and_how_sure_it_was(make):
    rows = [("abc"[n % 3], sure(n % 3, 0.8, 3)) for n in range(300)] + [("c", sure(0, 0.95, 3)) for _ in range(40)]
    verdict = judge(said(make, *rows, classes=("a", "b", "c")))
    listed = texts(verdict.errors)
    assert "40 of 40 mistakes are “c” taken for “a”." in listed
    assert "“c” is found least: 0.714 of its 140 pictures, of which it saw 33 in training." in listed
    assert "40 of 40 mistakes were made with more than 90% confidence." in listed


def test_a_label_is_suspect_where_another_class_is_as_likely_as_for_its_own_pictures(make):
    rows = [("a", sure(0, 0.95)) for _ in range(50)] + [("b", sure(1, 0.85)) for _ in range(50)]
    rows += [("b", sure(0, 0.99)), ("b", sure(0, 0.9)), ("a", sure(1, 0.92)), ("a", sure(1, 0.7))]
    suspects = said(make, *rows).suspects
    # 0.9 is less than pictures of "a" usually have, 0.92 more than those of "b" have.
    assert [(case.name, case.probability) for case in suspects] == [("100.png", 0.99), ("102.png", 0.92)]


def test_cases_are_in_order_of_confidence(make):
    random = np.random.default_rng(1)
    rows = [("ab"[n % 2], sure(int(random.integers(2)), 0.5 + random.random() / 2)) for n in range(80)]
    panel = said(make, *rows).val
    for cases, rising in ((panel.mistakes, False), (panel.most_certain, False), (panel.least_certain, True)):
        confidence = [case.probability for case in cases]
        assert confidence == sorted(confidence, reverse=not rising)
    assert len(panel.mistakes) + len(panel.most_certain) == len(panel.least_certain) == 80


CHOICES = (
    {},
    {"backbone": "nano", "weights": "none", "seed": 7, "strict": True, "learning_rate": 0.001},
    {"backbone": "nano,mobilenet_v2", "strategy": "head", "val": 0.3, "test": 0.1},
    {"strategy": "finetune", "from_run": "old run", "unfreeze": "last:3", "class_weights": "balanced"},
    {"label_pattern": "{label}.*", "group_by": "{group}_*", "image_size": 96, "fit": "stretch", "calibrate": True},
)


def parsed(command: str) -> dict:
    """What the command line makes of a command."""
    program, name, *arguments = shlex.split(command)
    assert program == "headstart"
    found = cli.get_command(click.Context(cli), name)
    context = found.make_context(name, arguments, resilient_parsing=False)
    return context.params


@pytest.mark.parametrize("choices", CHOICES)
def test_the_command_of_a_recipe_is_read_as_that_recipe(choices):
    recipe = Recipe("my photos", out="my run", **choices)
    given = parsed(train_command(recipe))
    for name, value in recipe.to_dict().items():
        got = given["ensemble"] if name == "backbone" and "," in value else given[name]
        assert str(got) == str(value), name


def test_a_recommendation_that_contradicts_the_recipe_is_none():
    assert changed_command(Recipe("photos", strategy="head", unfreeze="none"), strategy="auto") is None
    assert "--out run-next" in changed_command(Recipe("photos", out="run"), test=0.2)


def test_everything_that_is_recommended_can_be_typed(make):
    rows = [("ab"[n % 2], sure(n % 2 if n % 4 else 1 - n % 2, 0.99)) for n in range(240)]
    seen = set()
    for number, strategy in enumerate(("auto", "head")):
        made = make("a", "b", at=f"made{number}")
        for each, (label, row) in enumerate(rows):
            made.row(f"{each}.png", "val", label, f"v{each}", row)
        for each in range(40):
            made.row(f"t{each}.png", "train", "ab"[each % 20 == 0], f"t{each}")
        run = made.write(quarantined=[("x", "y")], interrupted=True)
        run.about["recipe"] |= {"strategy": strategy}
        for step in judge(gather(run)).steps:
            name = shlex.split(step.command)[1]
            if name in cli.list_commands(click.Context(cli)):
                parsed(step.command)
            seen.add(name)
    assert seen == {"train", "audit", "compare", "predict"}
    assert headstart.report
