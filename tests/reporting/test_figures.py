"""Every figure in `metrics.json` and on the page, worked out once more from `predictions.csv`, by scikit-learn."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn import metrics as sk

from headstart.reporting.report import MOST_BYTES, write_report
from tests.reporting.conftest import fill
from tests.reporting.reading import Page

HEAD = 5  # columns before those of the classes


def said(run: Path, side: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Labels and probabilities of one side, and the classes; read as anybody would read it."""
    with open(run / "predictions.csv", newline="", encoding="utf-8") as file:
        header, *rows = list(csv.reader(file))
    classes = header[HEAD:]
    rows = [row for row in rows if row[1] == side]
    labels = np.array([classes.index(row[2]) for row in rows])
    return labels, np.array([[float(cell) for cell in row[HEAD:]] for row in rows]), classes


def expected(labels: np.ndarray, probabilities: np.ndarray, classes: list[str]) -> dict[str, float | None]:
    """The figures by the names that the page gives them."""
    predicted, n = probabilities.argmax(1), len(labels)
    every = list(range(len(classes)))
    right = int((predicted == labels).sum())
    interval = binomtest(right, n).proportion_ci(0.95, method="wilson")
    found: dict[str, float | None] = {
        "n": n,
        "accuracy": sk.accuracy_score(labels, predicted),
        "accuracy_low": interval.low,
        "accuracy_high": interval.high,
        "loss": float(-np.log(np.maximum(probabilities[np.arange(n), labels], 1e-7)).mean()),
        "calibration_error": calibration_error(probabilities.max(1), predicted == labels),
    }
    with_pictures = sorted(set(labels.tolist()))
    for name, score in (("precision", sk.precision_score), ("recall", sk.recall_score), ("f1", sk.f1_score)):
        found[f"macro.{name}"] = score(labels, predicted, labels=with_pictures, average="macro", zero_division=0)
        of_class = score(labels, predicted, labels=every, average=None, zero_division=np.nan)
        found |= {f"class.{k}.{name}": None if np.isnan(of_class[k]) else of_class[k] for k in every}
    for k in (2, 3, 5):
        if k < len(classes):
            found[f"top_k.{k}"] = sk.top_k_accuracy_score(labels, probabilities, k=k, labels=every)
    for k in every:
        found |= {f"confusion.{k}.{p}": int(((labels == k) & (predicted == p)).sum()) for p in every}
    ranked = [k for k in ([1] if len(classes) == 2 else every) if 0 < (labels == k).sum() < n]
    found["auc"] = np.mean([sk.roc_auc_score(labels == k, probabilities[:, k]) for k in ranked])
    found["average_precision"] = np.mean([sk.average_precision_score(labels == k, probabilities[:, k]) for k in ranked])
    return found


def calibration_error(confidence: np.ndarray, right: np.ndarray) -> float:
    """The expected calibration error over 15 bins, each open at its lower end."""
    place = np.ceil(confidence * 15)
    bins = [place == number for number in range(1, 16)]
    return sum(inside.mean() * abs(right[inside].mean() - confidence[inside].mean()) for inside in bins if inside.any())


def flat(figures: dict, classes: list[str]) -> dict[str, float | None]:
    """What `metrics.json` says, by the same names."""
    found = {}
    for name, value in figures.items():
        if name in ("macro", "top_k"):
            found |= {f"{name}.{key}": one for key, one in value.items()}
        elif name == "per_class":
            for key, one in value.items():
                found |= {
                    f"class.{classes.index(key)}.{figure}": one[figure] for figure in ("precision", "recall", "f1")
                }
        elif name == "confusion":
            found |= {f"confusion.{t}.{p}": n for t, row in enumerate(value) for p, n in enumerate(row)}
        else:
            found[name] = value
    return found


def digits(text: str) -> int:
    return len(text.partition(".")[2])


def check_page(run: Path, sides: tuple[str, ...]) -> int:
    """Compare everything that is called a figure on the page of a RUN, to the last digit shown."""
    known = {f"{side}.{name}": value for side in sides for name, value in expected(*said(run, side)).items()}
    page = Page((run / "report.html").read_text(encoding="utf-8"))
    with open(run / "splits.csv", newline="", encoding="utf-8") as file:
        rows = [(row["side"], row["label"]) for row in csv.DictReader(file)]
    classes = said(run, "val")[2]
    for key, value, text in page.figures:
        if key.startswith("count."):
            _, side, number = key.split(".")
            assert value == rows.count((side, classes[int(number)]))
        else:
            assert value == pytest.approx(known[key], rel=1e-8, abs=1e-12), key
            assert text == f"{known[key]:,.{digits(text)}f}", key
    shown = {key for key, _, _ in page.figures}
    for side in sides:
        wanted = [name for name, value in expected(*said(run, side)).items() if value]
        missing = {f"{side}.{name}" for name in wanted} - shown
        assert not missing
    return len(page.figures)


@pytest.mark.parametrize("side", ["val", "test"])
def test_the_figures_of_a_training_are_those_that_scikit_learn_finds_in_its_predictions(trained, side):
    labels, probabilities, classes = said(trained.path, side)
    reported = json.loads((trained.path / "metrics.json").read_text())
    reported = flat(reported if side == "val" else reported["test"], classes)
    for name, value in expected(labels, probabilities, classes).items():
        assert reported[name] == pytest.approx(value, rel=1e-6, abs=1e-9), name


def test_the_page_of_a_training_says_the_same(trained):
    assert check_page(trained.path, ("val", "test")) > 60


def test_the_page_shows_what_scikit_learn_finds_where_there_are_two_classes(make):
    made = make("cats", "dogs")
    fill(made, train=2, val=30, test=9)
    run = made.write()
    write_report(run)
    assert check_page(run.path, ("val", "test")) > 30


def test_every_run_has_a_page_with_heat_maps_and_the_name_it_was_given(trained):
    text = (trained.path / "report.html").read_text(encoding="utf-8")
    assert f"Report of <bdi>{trained.path}</bdi>" in text
    assert ".unfinished" not in text
    assert 'aria-label="Heat map of ' in text
    assert 'class="none"' not in text
    assert len(text.encode()) < MOST_BYTES


def test_the_sentence_of_the_verdict_says_what_the_predictions_say(trained):
    labels, probabilities, classes = said(trained.path, "test")
    right, n = int((probabilities.argmax(1) == labels).sum()), len(labels)
    interval = binomtest(right, n).proportion_ci(0.95, method="wilson")
    most = max(range(len(classes)), key=lambda k: (labels == k).sum())
    text = (trained.path / "report.html").read_text(encoding="utf-8")
    found = re.search(r"<p>(It has [^<]*)</p>", text)
    assert found[1] == (
        f"It has {right} of {n} test pictures right: accuracy {right / n:.4f}, and on more pictures like these between "
        f"{interval.low:.3f} and {interval.high:.3f} (95 % interval). Always answering “{classes[most]}” would "
        f"give {(labels == most).mean():.3f}."
    )
