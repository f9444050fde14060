"""What very many pictures cost: measured steps of one picture, a model of them, and how far that is from the truth.

    python benchmarks/scale.py DATA [--count 1000] [--backbone nano] [--weights imagenet]

Measured on one core, with files that the operating system has in memory: reading and hashing a picture, decoding it,
running the frozen part, writing features; what the command that asked for them does for each picture that a worker
reports; and the whole, which the sum of the steps is compared with. From these come core hours, bytes and requests of
a million and a billion pictures, and how many cores it takes until something else than cores is what one waits for.
Prices and limits are assumptions, printed with what follows from them; options change them.
"""

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

from machine import timed
from pictures import grow, jpegs, options
from report import Report, figure, table

MILLION, BILLION = 10**6, 10**9
ROWS = 32
"""Pictures in one write to the store, as a worker makes them."""


def steps(given: argparse.Namespace, data: Path, folder: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds of each step for one picture, and bytes of a picture and of its features."""
    import headstart as hs
    from headstart.features.engine import LOCAL
    from headstart.features.extract import decoder
    from headstart.images.digest import picture_digest
    from headstart.images.places import read_file

    caught: list[Any] = []

    class Catching:
        """An engine that keeps the work it is given, to be measured step by step, and has it done."""

        def extract(self, paths: Any, work: Any, stat_cache: Any, advance: Any) -> Any:
            """See `headstart.features.engine.Engine`."""
            caught.extend((paths, work))
            return LOCAL.extract(paths, work, stat_cache, advance)

    choices = {"backbone": given.backbone, "weights": given.weights, "val": 0.5}
    hs.export_features(data, folder / "f.npz", engine=Catching(), progress=False, **choices)
    paths, work = caught
    runtime, make = work.frozen.pack().unpack(), decoder(work.decode, None)
    contents = [read_file(path) for path in paths]
    pixels = [make(content, "") for content in contents]
    found = {"read and hash": timed(lambda: [picture_digest(read_file(path)) for path in paths])}
    found["decode"] = timed(lambda: [make(content, "") for content in contents])
    batches = [stacked(pixels[first : first + ROWS]) for first in range(0, len(pixels), ROWS)]
    features: list[Any] = []
    found["frozen part"] = timed(lambda: features.extend(runtime(batch) for batch in batches))
    space = hs_store(folder / "written").space({"benchmark": 1}, {})
    keys = [[f"{ROWS * number + row:040x}" for row in range(len(batch))] for number, batch in enumerate(batches)]
    found["write"] = timed(lambda: [space.append(*row) for row in zip(keys, features, strict=True)])
    found["the command, for each that is reported"] = reported(paths, folder)
    sizes = {"picture": sum(map(len, contents)) / len(paths), "features": space.size() / len(paths)}
    return {name: seconds / len(paths) for name, seconds in found.items()}, sizes


def stacked(pixels: Any) -> Any:
    """One batch."""
    import numpy as np

    return np.stack(pixels)


def hs_store(folder: Path) -> Any:
    """An empty store."""
    from headstart.features.store import Store

    store = Store(folder)
    store.prepare()
    return store


def reported(paths: list[str], folder: Path) -> float:
    """Seconds in which the command takes down what workers tell of pictures."""
    import json

    import numpy as np

    from headstart.cluster.worker import PATH, read_done
    from headstart.images.places import stat_of

    store = hs_store(folder / "told")
    columns = {
        PATH: np.array([os.fsencode(path) for path in paths], object),
        "digest": np.array([f"{number:040x}" for number in range(len(paths))], object),
        "reason": np.array([""] * len(paths), object),
        "stat": np.array([json.dumps(stat_of(path)) for path in paths], object),
    }
    return timed(
        lambda: store.stat_cache.remember({one.path: (one.stat, one.digest) for one in read_done(columns) if one.stat})
    )


def whole(given: argparse.Namespace, data: Path, folder: Path) -> float:
    """Seconds of headstart for one picture on one core, starting left out."""
    import headstart as hs
    from cluster import Timed, pace
    from headstart.features.engine import LOCAL

    os.environ["HEADSTART_STORE"] = str(folder / "whole")
    engine = Timed(LOCAL)
    choices = {"backbone": given.backbone, "weights": given.weights, "val": 0.5}
    found = hs.export_features(data, folder / "g.npz", engine=engine, progress=False, **choices)
    return 1 / pace(engine.times, found.pictures)


def model(seconds: dict[str, float], sizes: dict[str, float], given: argparse.Namespace) -> list[str]:
    """Tables of what follows."""
    core = sum(cost for name, cost in seconds.items() if not name.startswith("the command"))
    rows = []
    for count in (MILLION, BILLION):
        hours = count * core / 3600
        rows.append(
            [
                f"{count:,}",
                f"{hours:,.1f}",
                f"{count * sizes['picture'] / 1e12:,.2f}",
                f"{count * sizes['features'] / 1e12:,.3f}",
                f"{hours * given.core_hour:,.2f}",
                f"{count * given.requests * given.get / 1e3:,.2f}",
                f"{count / ROWS * given.put / 1e3:,.2f}",
            ]
        )
    columns = ["pictures", "core hours", "TB read", "TB kept", "$ of cores", "$ of reads", "$ of writes"]
    node = given.node_gbit * 1e9 / 8
    told = next(cost for name, cost in seconds.items() if name.startswith("the command"))
    limits = [
        [
            "requests to one prefix",
            f"{given.gets_a_second:,}/s",
            f"{given.gets_a_second / given.requests * core:,.0f} cores",
        ],
        [
            "network of a machine",
            f"{given.node_gbit} Gbit/s",
            f"{node / sizes['picture'] * core:,.0f} cores",
        ],
        ["the command that asks", f"{1 / told:,.0f} pictures/s", f"{core / told:,.0f} cores"],
    ]
    return [
        table(columns, rows),
        table(["what one waits for", "limit", "reached with"], limits),
        f"Assumed: ${given.core_hour} a core hour, {given.requests} requests a picture, ${given.get} a thousand of "
        f"them, ${given.put} a thousand writes.",
    ]


def main() -> None:
    """Measure and print."""
    parser = options(__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--core-hour", type=float, default=0.04, help="Dollars.")
    parser.add_argument("--requests", type=int, default=3, help="That reading a picture takes in object storage.")
    parser.add_argument("--get", type=float, default=0.0004, help="Dollars for a thousand reads.")
    parser.add_argument("--put", type=float, default=0.005, help="Dollars for a thousand writes.")
    parser.add_argument("--gets-a-second", type=int, default=5500, help="Of one prefix of the object storage.")
    parser.add_argument("--node-gbit", type=float, default=10, help="Of the network of one machine.")
    given = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    os.environ["HEADSTART_CORES"] = "1"
    with tempfile.TemporaryDirectory(dir=given.folder) as temporary:
        folder = Path(temporary)
        os.environ["HEADSTART_STORE"] = str(folder / "store")
        grow(folder / "data", jpegs(given.data), 0, given.count)
        seconds, sizes = steps(given, folder / "data", folder)
        measured = whole(given, folder / "data", folder)
    report = Report("scale")
    core = sum(cost for name, cost in seconds.items() if not name.startswith("the command"))
    rows = [[name, f"{1e3 * cost:.2f}", f"{1 / cost:,.0f}"] for name, cost in seconds.items()]
    rows += [["sum of the steps of a worker", f"{1e3 * core:.2f}", f"{1 / core:,.0f}"]]
    rows += [["the whole, as it was measured", f"{1e3 * measured:.2f}", f"{1 / measured:,.0f}"]]
    report.compare(f"{given.backbone}, one core: a picture", "the model's", [measured], [core])
    report.text += [
        f"{Path(given.data).name}, {given.backbone}, {given.count:,} pictures of {sizes['picture'] / 1e3:.0f} kB, "
        f"{sizes['features'] / 1e3:.1f} kB of features each, one core.",
        table(["step", "ms a picture", "pictures/s"], rows),
        f"Measured over modelled: {figure(measured / core)}.",
        *model(seconds, sizes, given),
    ]
    report.measured = {"seconds": seconds, "bytes": sizes, "whole": measured}
    report.publish(given.out)


if __name__ == "__main__":
    main()
