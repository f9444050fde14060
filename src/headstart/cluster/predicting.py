"""Predictions by workers of a cluster: each has its own copy of the RUN."""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from headstart.answers import Prediction
from headstart.bundle import Run
from headstart.cluster.worker import PATH, Columns, Part
from headstart.images.pictures import Quarantined
from headstart.run_files import ABOUT, MODEL

PackedRun = Mapping[str, bytes]
"""The files of a RUN that answers need, by their names."""


class Predictor(Part):
    """Classifies its parts of the pictures; its task is a `PackedRun`."""

    task: PackedRun

    def work(self, paths: Sequence[str]) -> Columns:
        """See `Part`."""
        found = list(self._run.stream(paths))
        names = self._run.classes
        return {
            "reason": np.array([one.reason if isinstance(one, Quarantined) else "" for one in found], object),
            "familiarity": np.array([getattr(one, "familiarity", None) for one in found], float),
            "probabilities": np.array(
                [[one.probabilities[name] if isinstance(one, Prediction) else 0.0 for name in names] for one in found],
                np.float32,
            ),
        }

    @cached_property
    def _run(self) -> Run:
        self._folder = tempfile.TemporaryDirectory(prefix="headstart-")
        for name, content in self.task.items():
            file = Path(self._folder.name) / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        return Run(self._folder.name)


def pack_run(run: Run) -> PackedRun:
    """The files of a RUN that answers need.

    Raises:
        RunError: if one of them is missing or damaged.
    """
    names = [ABOUT, *run.about["digests"]]
    if run.runtime_files():
        names.remove(MODEL)
    return {name: (run.path / name).read_bytes() for name in names}


def read_predictions(run: Run, columns: Columns) -> Iterator[Prediction | Quarantined]:
    """What a `Predictor` says of its files."""
    names = (PATH, "reason", "familiarity", "probabilities")
    for path, reason, share, row in zip(*(columns[name] for name in names), strict=True):
        name = os.fsdecode(path)
        if reason:
            yield Quarantined(name, reason)
        else:
            yield run.prediction(name, row, None if np.isnan(share) else float(share))
