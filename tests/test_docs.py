"""What the documents say is so."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import headstart

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def test_the_command_reference_is_up_to_date():
    made = subprocess.run([sys.executable, ROOT / "tools" / "command_reference.py"], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr
    assert (ROOT / "docs" / "commands.md").read_text() == made.stdout


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document):
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", document.read_text()):
        assert (document.parent / target).exists(), target


def test_every_option_in_the_readme_exists():
    reference = (ROOT / "docs" / "commands.md").read_text()
    for option in re.findall(r"(?<![\w-])--[a-z][a-z-]+", (ROOT / "README.md").read_text()):
        assert option in reference, option


def test_the_public_names_are_there_and_documented():
    for name in headstart.__all__:
        assert getattr(headstart, name).__doc__, name


def test_the_version_has_an_entry_in_the_changelog():
    assert f"## {headstart.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_floors_in_the_plan_are_those_that_are_held_to():
    from tests.test_floors import FLOORS

    plan = (ROOT / "docs" / "design" / "house.md").read_text()
    rooms = re.findall(r"^\| `(\w+)(?:\.py|/)` \|", plan, re.MULTILINE)
    assert rooms == [room for room in FLOORS if room != "demo_data"]
