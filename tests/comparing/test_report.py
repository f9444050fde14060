"""What is written down: everything is there, names are shown and never obeyed, nobody is asked for anything."""

import csv
import json

import pytest

from headstart.comparing.comparison import in_words
from headstart.comparing.plot import HEIGHT, WIDTH, plot
from headstart.comparing.report import check_report, render, write_report
from headstart.errors import RunError
from tests.auditing.test_report import Page as AuditPage
from tests.comparing.conftest import behind, comparison, row

HOSTILE = '<script>alert(1)</script>"\u202e\x1b[2J'


class Page(AuditPage):
    """Shapes of SVG have no end."""

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes


BOARD = comparison(
    row("best + other", 0.92, 40.0),
    row("best", 0.91, 100.0, behind=behind()),
    row("other", 0.90, 90.0, behind=behind()),
    row("untrained:none", 0.3, 95.0, pictures=500, in_the_end=False, behind=behind(accuracy=-0.6)),
    recommended="best",
    left_out={"vgg16": "the weights are not here"},
    not_cached=("xception", "nasnet_large"),
    quarantined=2,
)


def test_the_page_shows_every_row_the_sentence_and_the_command():
    page = Page(render(BOARD))
    for text in ("best + other: take it.", "headstart train data --backbone best --strategy head --out RUN"):
        assert text in page.text
    for name in ("best + other", "best", "other", "untrained:none", "0.9200", "0.3000"):
        assert name in page.text
    assert "vgg16: the weights are not here" in page.text
    assert "2 backbones whose ImageNet weights are not on this machine: xception, nasnet_large" in page.text
    assert "2 files that cannot be decoded" in page.text
    assert page.tags.count("circle") == 2 + 1  # two single ones, and the ring
    assert page.tags.count("rect") == 1
    assert "Too far behind to be shown: untrained:none (0.3000)." in " ".join(page.text.split())


def test_the_page_asks_nobody_for_anything_and_obeys_no_name():
    hostile = row(f"vgg16:{HOSTILE}", backbones=("vgg16",), weights=HOSTILE, command=f"headstart {HOSTILE}")
    text = render(comparison(hostile, data=HOSTILE, sentence=HOSTILE, left_out={HOSTILE: HOSTILE}))
    page = Page(text)
    assert not {"script", "link", "img"} & set(page.tags)
    assert not {name for name, _ in page.attributes} & {"src", "href"}
    assert not any(name.startswith("on") for name, _ in page.attributes)
    assert "\u202e" not in text
    assert "\x1b" not in text
    policy = [value for name, value in page.attributes if name == "content" and "default-src" in value]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_points_stand_where_their_figures_say():
    drawn = plot(BOARD)
    assert [point.row.name for point in drawn.points] == ["best + other", "best", "other"]
    assert [line.name for line in drawn.not_shown] == ["untrained:none"]
    first, second, third = drawn.points
    assert first.x < third.x < second.x
    assert first.y < second.y < third.y
    for point in drawn.points:
        assert drawn.top <= point.top < point.y < point.bottom <= drawn.bottom
        assert drawn.left < point.x < drawn.right
    assert len(drawn.across) > 2
    assert drawn.along


def test_names_do_not_cover_each_other():
    rows = [row(f"backbone_{number}", 0.9 - number / 1000, 100 + number / 10) for number in range(5)]
    boxes = []
    for point in plot(comparison(*rows)).points:
        wide = 7.2 * len(point.row.name)
        left = point.label_x if point.anchor == "start" else point.label_x - wide
        assert left >= 0
        assert left + wide <= WIDTH
        assert 0 < point.label_y < HEIGHT
        boxes.append((left, point.label_y - 10, left + wide, point.label_y))
    for number, one in enumerate(boxes):
        for other in boxes[:number]:
            assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


@pytest.mark.parametrize("accuracy", [0.0, 0.5, 1.0])
def test_one_backbone_alone_has_a_plot_too(accuracy):
    alone = row("nano", accuracy, low=max(0.0, accuracy - 0.1), high=min(1.0, accuracy + 0.1))
    assert Page(render(comparison(alone))).tags.count("svg") == 1


def test_table_and_json_hold_all_figures(tmp_path):
    write_report(BOARD, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"compare.html", "compare.csv", "compare.json"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    with open(tmp_path / "out" / "compare.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [line["name"] for line in rows] == ["best + other", "best", "other", "untrained:none"]
    assert rows[0]["backbones"] == "best + other"
    assert rows[1]["behind"] == "best"
    assert float(rows[3]["behind_accuracy"]) == -0.6
    assert json.loads((tmp_path / "out" / "compare.json").read_text()) == json.loads(json.dumps(BOARD.to_dict()))


def test_an_older_comparison_is_replaced_and_anything_else_is_not(tmp_path):
    for _ in range(2):
        write_report(BOARD, check_report(tmp_path / "out", tmp_path / "photos"))
    (tmp_path / "out" / "mine.txt").write_text("precious")
    with pytest.raises(RunError) as caught:
        check_report(tmp_path / "out", tmp_path / "photos")
    assert str(caught.value) == f"{tmp_path / 'out'} exists and is not empty. Give another --out, or remove it first."


def test_the_sentence_says_what_is_given_up_for_speed():
    best, fast = row("vgg16", 0.91, 20.0), row("nano", 0.9, 200.0, behind=behind("vgg16"))
    assert in_words([best, fast], fast) == (
        "nano: 0.9000 of 1,000 pictures right (95 % interval 0.8800 to 0.9200) at 200 pictures a second, 10.0 times as "
        "fast as vgg16, which has 0.9100: the difference of -0.0100 (-0.0300 to +0.0100) may be chance."
    )


def test_the_sentence_says_what_is_given_up_for_accuracy():
    best, fast = row("vgg16", 0.91, 20.0), row("nano", 0.81, 200.0, behind=behind("vgg16", -0.1))
    assert in_words([best, fast], best) == (
        "vgg16: 0.9100 of 1,000 pictures right (95 % interval 0.8900 to 0.9300) at 20 pictures a second; it is the "
        "most accurate. nano is 10.0 times as fast and has 0.8100, a difference of -0.1000 (-0.1200 to -0.0800)."
    )


def test_the_sentence_says_if_there_is_nothing_to_give_up():
    best, slow = row("nano", 0.91, 200.0), row("vgg16", 0.9, 20.0, behind=behind("nano"))
    assert in_words([best, slow], best).endswith("; it is the most accurate, and nothing faster is as good.")
    assert in_words([best], best).endswith("; there was nothing to compare it with.")
