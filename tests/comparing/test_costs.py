"""What a backbone costs."""

import numpy as np
import pytest

from headstart.comparing.costs import Cost, measure_speed


def test_of_two_backbones_one_runs_after_the_other():
    both = Cost(100.0, 3_000_000).beside(Cost(25.0, 1_000_000))
    assert both.pictures_per_second == pytest.approx(20.0)
    assert both.parameters == 4_000_000
    assert both.bytes == 16_000_000


def test_speed_is_measured_as_an_extraction_runs(monkeypatch):
    given: list[tuple[tuple[int, ...], np.dtype]] = []
    clock = iter(np.cumsum([0.0, 0.5, 0.0, 0.25, 0.0, 1.0]))
    monkeypatch.setattr("headstart.comparing.costs.time.perf_counter", lambda: float(next(clock)))

    def runtime(*batch):
        given.append((batch[0].shape, batch[0].dtype))
        return [np.zeros((len(batch[0]), 2), np.float32)]

    assert measure_speed(runtime, side=16, batch=8) == 32.0  # the quickest of three runs took a quarter of a second
    assert given == [((8, 16, 16, 3), np.uint8)] * 4
