"""Whether heat maps lie where the class is: on composites of two pictures side by side, one of each of two classes.

    python benchmarks/heatmaps.py DATA RUN [--pairs 100] [--methods grad-cam,occlusion,eigen-cam]

DATA holds pictures in class folders, or in train/ and val/ folders of such; those for validation are taken. RUN tells
its first two classes apart. For each pair, and for each of both classes, the share of the heat that lies on its own
half is counted; which one is on the left changes from pair to pair. Chance, and Eigen-CAM, which knows of no class,
give one half. Prints a table in Markdown.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

METHODS = ("grad-cam", "occlusion", "eigen-cam")


def composites(data: str, classes: Sequence[str], pairs: int, height: int, width: int) -> Any:
    """Pictures side by side: uint8 `(pairs, height, width, 3)`; and whether the first class is on the left."""
    import numpy as np

    from headstart.features.extract import load_pictures
    from headstart.images.decode import DecodeRecipe
    from headstart.images.sources import list_for_evaluation

    pictures = list_for_evaluation(data).pictures
    halves = []
    for name in classes[:2]:
        paths = [picture.path for picture in pictures if picture.label == name][: 2 * pairs]
        decoded = (pixels for _, pixels in load_pictures(paths, DecodeRecipe(height, width // 2)))
        halves.append([pixels for pixels in decoded if isinstance(pixels, np.ndarray)][:pairs])
    found = min(map(len, halves))
    is_left = np.arange(found) % 2 == 0
    made = [np.hstack((a, b) if left else (b, a)) for a, b, left in zip(*halves, is_left, strict=False)]
    return np.stack(made), is_left


def shares(heat: Any, is_left: Any) -> Any:
    """The share of the heat on the half where the class is, `(n,)`; none where there is no heat."""
    import numpy as np

    from headstart.explaining.draw import spread

    sides = np.array([spread(one, 224, 224).sum(0) for one in heat])
    left, whole = sides[:, :112].sum(1), sides.sum(1)
    on_own = np.where(is_left, left, whole - left)
    return np.where(whole > 0, on_own / np.where(whole > 0, whole, 1), 0)


def measured(run: str, data: str, pairs: int, methods: Sequence[str]) -> dict[str, Any]:
    """The shares of each method, over both classes of all pairs."""
    import numpy as np

    from headstart.bundle import Run
    from headstart.explaining.explain import Explainer

    opened = Run(run)
    recipe = opened.decode_recipe
    pixels, first_is_left = composites(data, opened.classes, pairs, recipe.height, recipe.width)
    found: dict[str, Any] = {"pairs": len(pixels)}
    for method in methods:
        explainer = Explainer(opened, method)
        of_both = [
            shares(explainer.look(pixels, np.full(len(pixels), number)), first_is_left == (number == 0))
            for number in (0, 1)
        ]
        found[method] = {"layer": explainer.layer, "shares": np.concatenate(of_both).tolist()}
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data")
    parser.add_argument("run")
    parser.add_argument("--pairs", type=int, default=100)
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = measured(arguments.run, arguments.data, arguments.pairs, arguments.methods.split(","))
    if arguments.json:
        json.dump(found, sys.stdout)
        return
    import numpy as np

    print(f"{Path(arguments.data).name}, {found.pop('pairs')} pairs, both classes; {datetime.now(UTC).date()}\n")
    print("| method | layer | share of the heat on the class's half: median | quartiles | above one half |")
    print("|---|---|---|---|---|")
    for method, row in found.items():
        low, median, high = np.quantile(row["shares"], (0.25, 0.5, 0.75))
        above = np.mean(np.array(row["shares"]) > 0.5)
        print(f"| {method} | {row['layer']} | {median:.3f} | {low:.3f} to {high:.3f} | {above:.0%} |")


if __name__ == "__main__":
    main()
