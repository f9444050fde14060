"""Whether a RUN can be trusted: calibration and flags for what is unlike the training data, on pictures it never saw.

    KERAS_HOME=... python benchmarks/trust.py DATA OTHER [--backbone mobilenet_0.25] [--seeds 3] [--out FILE]

Trains a head on DATA with a fifth of its training pictures kept aside as test pictures, and the temperature fitted on
the validation pictures. The calibration error is that of the test pictures. The flags are those of the test pictures
and of the pictures of OTHER, which shows something else altogether; the area under the ROC curve says how well the
two are told apart. Prints a table in Markdown.
"""

import statistics
import tempfile
from pathlib import Path

import numpy as np
from report import Report, parser, table

import headstart as hs
from headstart.evaluation.ranking import area_under_roc

COLUMNS = [
    "seed",
    "test accuracy",
    "temperature",
    "ECE, val without",
    "ECE, test",
    "AUROC",
    "flagged, test",
    "flagged, other",
]


def measure(data: str, other: str, backbone: str, weights: str, seed: int, folder: Path) -> list[float]:
    """The figures of one training, in the order of `COLUMNS`."""
    choices = {"backbone": backbone, "weights": weights, "strategy": "head", "seed": seed, "progress": False}
    run = hs.train(data, out=folder / f"run-{seed}", test=0.2, calibrate=True, **choices)
    names = set(run.judged("test").names)
    test = run.predict([path for path in sorted(Path(data).rglob("*")) if str(path.relative_to(data)) in names])
    strange = run.predict(other)
    scores = np.array([1 - (one.familiarity or 0) for one in [*test, *strange]])
    of_other = np.arange(len(scores)) >= len(test)
    metrics = run.metrics
    return [
        metrics["test"]["accuracy"],
        metrics["temperature"],
        metrics["calibration_error_without"],
        metrics["test"]["calibration_error"],
        area_under_roc(scores, of_other),
        float(np.mean([bool(one.unlike) for one in test])),
        float(np.mean([bool(one.unlike) for one in strange])),
    ]


def main() -> None:
    """Measure and print."""
    options = parser(__doc__)
    options.add_argument("data")
    options.add_argument("other")
    options.add_argument("--backbone", default="mobilenet_0.25")
    options.add_argument("--weights", default="imagenet")
    options.add_argument("--seeds", type=int, default=3)
    arguments = options.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(arguments.seeds):
            given = (arguments.data, arguments.other, arguments.backbone, arguments.weights)
            rows.append(measure(*given, seed, Path(folder)))
    report = Report("trust")
    shown = [[seed, *(f"{value:.4f}" for value in row)] for seed, row in enumerate(rows)]
    shown.append(["median", *(f"{statistics.median(column):.4f}" for column in zip(*rows, strict=True))])
    data, other = (Path(given).name for given in (arguments.data, arguments.other))
    what = f"{data}, {arguments.backbone}, `--strategy head --calibrate`; the other: {other}."
    report.text += [what, table(COLUMNS, shown)]
    report.measured = {"rows": [dict(zip(COLUMNS[1:], row, strict=True)) for row in rows]}
    report.publish(arguments.out)


if __name__ == "__main__":
    main()
