"""Checks on features: wrong labels, outliers, sides that differ; on made-up pictures with the backbone in the box."""

import numpy as np
import pytest

import headstart
from headstart.auditing.domains import auc_with_interval, separate
from headstart.auditing.vectors import Vectors
from headstart.training.solve import held_out_probabilities
from tests.auditing.conftest import copy, patchwork
from tests.conftest import make_picture, write_picture

WRONG = ("train/dog/wrong0.png", "train/cat/wrong1.png")


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """Bluish cats and reddish dogs, two of them among the others, and one picture that is neither; val is as train."""
    data = tmp_path_factory.mktemp("audited") / "data"
    for side, first, count in (("train", 0, 24), ("val", 500, 24)):
        for hue, name in enumerate(("cat", "dog")):
            for number in range(count):
                write_picture(data / side / name / f"{number}.png", make_picture(first + 100 * hue + number, hue=hue))
    write_picture(data / WRONG[0], make_picture(941, hue=0))
    write_picture(data / WRONG[1], make_picture(942, hue=1))
    write_picture(data / "train" / "cat" / "odd.png", patchwork(1))
    new = tmp_path_factory.mktemp("new")
    for number in range(30):
        write_picture(new / f"{number}.png", make_picture(2000 + number, hue=2))
    return headstart.audit(data, against=new, image_size=32, precision="f32", progress=False)


def test_wrong_labels_come_first_with_what_they_should_be(audited):
    first = audited.check("labels").findings[:2]
    assert {finding.pictures[0].name for finding in first} == set(WRONG)
    for finding in first:
        (picture,) = finding.pictures
        assert finding.figures["suggested"] == {"cat": "dog", "dog": "cat"}[picture.label]
        assert finding.figures["suggested_probability"] > finding.figures["probability"]
    assert audited.check("labels").found <= 4


def test_a_picture_unlike_all_others_is_an_outlier(audited):
    assert audited.check("outliers").findings[0].pictures[0].name == "train/cat/odd.png"
    assert audited.check("outliers").found <= 3


def test_new_pictures_that_differ_are_a_shift_and_validation_pictures_that_do_not_are_none(audited):
    check = audited.check("shift")
    assert check.found == 1
    assert {finding.kind for finding in check.findings} == {"train/new"}
    assert {finding.pictures[0].side for finding in check.findings} == {"new"}
    assert "Train and val: no more than chance (AUC 0." in check.summary
    assert "Train and new: very clearly different, by more than chance (AUC " in check.summary
    assert check.findings[0].figures["probability"] > 0.5


def test_json_says_whose_features_were_compared(audited):
    plain = audited.to_dict()
    assert plain["backbone"] == "nano"
    assert list(plain["checks"])[-3:] == ["labels", "outliers", "shift"]


def test_the_features_are_those_that_a_training_keeps_and_that_names_the_audit(tmp_path, caplog):
    for hue, name in enumerate(("cat", "dog")):
        for number in range(6):
            write_picture(tmp_path / "data" / name / f"{number}.png", make_picture(100 * hue + number, hue=hue))
    copy(tmp_path / "data" / "cat" / "0.png", tmp_path / "data" / "dog" / "torn.png")
    choices = {"backbone": "nano", "image_size": 32, "precision": "f32", "progress": False}
    headstart.audit(tmp_path / "data", **choices)
    run = headstart.train(tmp_path / "data", out=tmp_path / "run", strategy="head", head="linear", **choices)
    assert (run.metrics["extracted"], run.metrics["reused"]) == (0, 13)
    assert caplog.messages[0] == (
        "1 pictures are in more than one class: at least one of their labels is wrong. "
        f"`headstart audit {tmp_path}/data` shows them."
    )


def test_too_few_pictures_are_said_to_be_too_few(tmp_path):
    for hue, name in enumerate(("cat", "dog")):
        for number in range(4):
            write_picture(tmp_path / "data" / name / f"{number}.png", make_picture(100 * hue + number, hue=hue))
    found = headstart.audit(tmp_path / "data", image_size=32, precision="f32", progress=False)
    assert found.check("labels").summary == "There are too few pictures to tell."
    assert found.check("outliers").summary == "There are too few pictures to tell."
    assert found.check("shift").summary == "Too few pictures to compare train with val."
    assert found.found == 0


def test_features_are_found_by_row_whatever_the_order():
    vectors = Vectors(np.array([1, 4, 6]), np.array([[10], [40], [60]], np.float16))
    assert vectors.of(np.array([6, 1, 4])).ravel().tolist() == [60, 10, 40]
    assert vectors.of(np.array([1, 4, 6])).ravel().tolist() == [10, 40, 60]
    assert vectors.of(np.array([4])).ravel().tolist() == [40]


def test_held_out_probabilities_are_those_of_a_head_that_has_not_seen_the_picture():
    random = np.random.default_rng(0)
    centres = random.normal(size=(3, 16)) * 3
    labels = np.repeat([0, 1, 2], 40)
    features = (centres[labels] + random.normal(size=(120, 16))).astype(np.float32)
    noise = random.integers(0, 3, 120)
    folds = np.arange(120) % 5
    folds[0] = -1
    known = held_out_probabilities(features, labels, folds, 0)
    assert known.shape == (120, 3)
    assert (known[1:].argmax(axis=1) == labels[1:]).mean() > 0.95
    assert np.allclose(known[1:].sum(axis=1), 1, atol=1e-5)
    assert not known[0].any()
    # Labels without any connection cannot be guessed; whoever had seen them would know more than a third.
    guessed = held_out_probabilities(features, noise, folds, 0)
    assert (guessed[1:].argmax(axis=1) == noise[1:]).mean() < 0.5


def test_features_in_half_precision_give_nearly_the_same():
    random = np.random.default_rng(1)
    labels = np.arange(60) % 2
    features = (random.normal(size=(60, 8)) + labels[:, None]).astype(np.float32)
    folds = np.arange(60) // 2 % 5
    whole, half = (held_out_probabilities(f, labels, folds, 0) for f in (features, features.astype(np.float16)))
    assert np.abs(whole - half).max() < 0.02


def test_the_interval_of_the_auc_is_that_of_delong():
    # DeLong's variance, straight from its definition, pair by pair.
    random = np.random.default_rng(0)
    scores, positive = random.normal(size=80).round(1), np.arange(80) < 30
    scores[positive] += 0.5
    ones, others = scores[positive][:, None], scores[~positive][None]
    wins = (ones > others) + 0.5 * (ones == others)
    auc, low, high = auc_with_interval(scores, positive)
    assert auc == pytest.approx(wins.mean())
    error = np.sqrt(wins.mean(axis=1).var(ddof=1) / 30 + wins.mean(axis=0).var(ddof=1) / 50)
    assert (low, high) == pytest.approx((auc - 1.959964 * error, auc + 1.959964 * error))


def test_two_lots_from_one_source_are_told_apart_by_chance_only_in_about_one_of_forty():
    shifts = 0
    for seed in range(20):
        features = np.random.default_rng(seed).normal(size=(160, 12)).astype(np.float32)
        apart = separate(lambda rows, f=features: f[rows], np.arange(100), np.arange(100, 160), np.arange(160), seed)
        shifts += apart.is_shift
    assert shifts <= 2


def test_copies_on_both_sides_do_not_help_to_tell_them_apart():
    random = np.random.default_rng(0)
    features = np.tile(random.normal(size=(60, 12)), (2, 1)).astype(np.float32)
    units = np.tile(np.arange(60), 2)
    apart = separate(lambda rows: features[rows], np.arange(60), np.arange(60, 120), units, 0)
    assert not apart.is_shift
    assert apart.in_words.startswith("no more than chance (AUC 0.")
