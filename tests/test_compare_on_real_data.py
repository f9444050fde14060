"""`headstart compare` on flowers, with pretrained weights and without: the right ones win, and little is computed."""

import json
from pathlib import Path

import pytest


@pytest.mark.slow
def test_pretrained_beats_untrained_on_flowers_which_is_put_out_on_a_sample(shared: Path, with_real_weights):
    command = ("compare", shared / "data" / "flowers", "--backbones", "nano,mobilenet_0.25,mobilenet_0.25:none")
    first, again = (json.loads(with_real_weights(*command, "--json")) for _ in range(2))
    rows = {row["name"]: row for row in first["rows"]}
    assert first["pictures"] == 2569
    untrained, small, pretrained = (rows[name] for name in ("mobilenet_0.25:none", "nano", "mobilenet_0.25"))
    assert untrained["accuracy"] < small["accuracy"] < pretrained["accuracy"]
    assert pretrained["accuracy"] > 0.85
    assert (pretrained["pictures"], untrained["pictures"], untrained["extracted"]) == (2569, 500, 500)
    assert any(len(row["backbones"]) == 2 for row in first["rows"])
    assert first["recommended"] != "mobilenet_0.25:none"
    assert {row["name"]: row["accuracy"] for row in again["rows"]} == {name: r["accuracy"] for name, r in rows.items()}
    assert sum(row["extracted"] for row in again["rows"]) == 0
