"""What docs/python.md shows works, with a RUN that needs no Keras."""

import re
from pathlib import Path
from typing import Any

from tests.conftest import make_picture, write_picture
from tests.serving.conftest import CLASSES, write_run

TEXT = (Path(__file__).parents[1] / "docs" / "python.md").read_text(encoding="utf-8")


def test_the_examples_work_one_after_the_other(tmp_path, monkeypatch, capsys):
    write_run(tmp_path / "run")
    for hue, name in enumerate(CLASSES):
        write_picture(tmp_path / "more_photos" / name / "0.png", make_picture(hue, hue=hue))
    write_picture(tmp_path / "photos" / "a.png", make_picture(1, hue=1))
    write_picture(tmp_path / "new.jpg", make_picture(2, hue=2))
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    monkeypatch.chdir(tmp_path)
    known: dict[str, Any] = {}
    examples = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    for example in examples:
        exec(example, known)
    assert len(examples) == 7
    assert known["first"].label == "blue"
    assert known["answer"] == (None if known["first"].unlike or known["first"].probability < known["least"] else "blue")
    assert known["found"].figures.accuracy == 1.0
    printed = capsys.readouterr().out.splitlines()
    assert printed == ["new.jpg blue", "left out broken.jpg not a picture in a known format"]
