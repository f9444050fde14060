"""headstart explain"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from headstart.cli.output import json_option, print_json, print_table, say
from headstart.errors import DataError

if TYPE_CHECKING:
    from headstart.bundle import Run
    from headstart.explaining.explain import Explanation
    from headstart.explaining.filters import Channel

_CHANNELS = 8
_EXAMPLES = 6


@click.command()
@click.argument("run")
@click.argument("pictures", nargs=-1)
@click.option(
    "--method",
    type=click.Choice(["grad-cam", "eigen-cam", "occlusion"]),
    help="Occlusion needs no Keras.  [default: grad-cam; occlusion where Keras cannot compute gradients]",
)
@click.option("--class", "label", metavar="NAME", help="Which class is asked about.  [default: the predicted one]")
@click.option("--layer", metavar="LAYER", help="Name or number, as of `headstart layers`.  [default: the last map's]")
@click.option("--top", type=click.IntRange(min=1), default=5, show_default=True, help="How many classes to name.")
@click.option("--depth", is_flag=True, help="Show instead what becomes of one picture from layer to layer.")
@click.option(
    "--filters", is_flag=True, help="Show instead what channels respond to in validation pictures or PICTURES."
)
@click.option(
    "--out", "-o", metavar="FILE", help="The PNG; for several pictures, a sheet, or a folder for one of each."
)
@json_option
def explain(
    run: str, pictures: Sequence[str], depth: bool, filters: bool, out: str | None, as_json: bool, **choices: Any
) -> None:
    """Draw what RUN looks at in PICTURES: a heat map over each of them, as PNG.

    Grad-CAM says which places of a layer's map a class hangs on; occlusion, how much the class loses without each
    place; Eigen-CAM, what most of the activation goes into, whichever class it is. --depth and --filters show what
    layers make of a picture, and what their channels respond to.
    """
    from headstart.bundle import Run

    _refuse_contradictions(pictures, depth, filters, choices)
    opened = Run(run)
    if filters:
        content = _draw_filters(opened, pictures, choices["layer"], Path(out or "filters.png"), not as_json)
    elif depth:
        content = _draw_depth(opened, pictures, out, not as_json)
    else:
        content = _draw_heat(opened, pictures, choices, out, not as_json)
    if as_json:
        print_json({"run": str(opened.path), **content})
    elif "channels" in content:
        _print_channels(content)
    else:
        _print_pictures(content)


def _refuse_contradictions(pictures: Sequence[str], depth: bool, filters: bool, choices: Mapping[str, Any]) -> None:
    if not pictures and not filters:
        raise click.UsageError("Missing argument 'PICTURES...'.", click.get_current_context())
    told = [f"--{option}" for option, name in (("method", "method"), ("class", "label")) if choices[name]]
    told += ["--layer"] if depth and choices["layer"] else []
    if depth and filters:
        told.append("--filters")
    if (depth or filters) and told:
        other = "--depth" if depth else "--filters"
        raise click.UsageError(f"{other} does not go with {' and '.join(told)}.", click.get_current_context())


def _draw_heat(
    run: "Run", pictures: Sequence[str], choices: Mapping[str, Any], out: str | None, show: bool
) -> dict[str, Any]:
    from headstart.explaining.explain import Explainer, Explanation
    from headstart.explaining.writing import writer_for
    from headstart.images.sources import list_any
    from headstart.progress import bar, waiting

    paths = [picture.path for picture in list_any(pictures)]
    writer = writer_for(paths, out, choices["top"])
    with waiting("loading the network", show):
        if choices["method"] == "eigen-cam":
            _load_keras()
        explainer = Explainer(run, choices["method"], choices["layer"], choices["label"])
    rows, bad = [], []
    with bar("explaining", len(paths), "pictures", show) as advance:
        for found in explainer.stream(paths):
            if isinstance(found, Explanation):
                rows.append(_row(found, writer.add(found), choices["top"]))
            else:
                bad.append({"path": found.path, "reason": found.reason})
            advance(1)
        writer.close()
    if not rows:
        raise DataError(f"no picture could be decoded; the first is {bad[0]['path']}: {bad[0]['reason']}")
    return {"method": explainer.method, "layer": explainer.layer, "pictures": rows, "quarantined": bad}


def _row(found: "Explanation", file: Path, top: int) -> dict[str, Any]:
    return {
        "path": found.path,
        "label": found.label,
        "probability": found.probability,
        "area_of_half": found.area_of_half,
        "top": [{"label": name, "probability": value} for name, value in list(found.probabilities.items())[:top]],
        "out": str(file),
    }


def _draw_depth(run: "Run", pictures: Sequence[str], out: str | None, show: bool) -> dict[str, Any]:
    from headstart.explaining.canvas import check_png, write_png
    from headstart.features.extract import load_pictures
    from headstart.images.pictures import Quarantined
    from headstart.images.sources import list_any
    from headstart.progress import waiting

    (first, *others) = [picture.path for picture in list_any(pictures)]
    if others:
        raise DataError(f"--depth shows one picture, and {1 + len(others)} were given.")
    file = check_png(Path(out or f"{Path(first).stem}.depth.png"))
    ((_, pixels),) = load_pictures([first], run.decode_recipe)
    if isinstance(pixels, Quarantined):
        raise DataError(f"{first} cannot be decoded: {pixels.reason}")
    with waiting("looking into the network", show):
        _load_keras()
        from headstart.explaining.depth import in_depth, stages
        from headstart.explaining.inside import Inside

        found = stages(Inside(run), pixels)
        write_png(in_depth(first, pixels, found), file, {"Title": "from layer to layer", "Source": first})
    layers = [{"layer": stage.layer, "shape": stage.shape, "channels": stage.channels} for stage in found]
    return {"pictures": [{"path": first, "layers": layers, "out": str(file)}], "quarantined": []}


def _draw_filters(run: "Run", pictures: Sequence[str], place: str | None, file: Path, show: bool) -> dict[str, Any]:
    from headstart.explaining.canvas import check_png, write_png
    from headstart.explaining.own_pictures import own_pictures
    from headstart.images.sources import list_any
    from headstart.progress import waiting

    check_png(file)
    paths = [picture.path for picture in list_any(pictures)] if pictures else own_pictures(run)
    with waiting("loading the network", show):
        _load_keras()
        from headstart.explaining.filter_sheet import in_examples
        from headstart.explaining.filters import first_filters, telling_channels
        from headstart.explaining.inside import Inside
        from headstart.explaining.receptive import receptive_field

        inside = Inside(run)
        layer = inside.layer(place)
        field = receptive_field(inside.model, layer)
    channels = telling_channels(run, inside, layer, paths, _CHANNELS, _EXAMPLES, show)
    sheet = in_examples(first_filters(inside.model), layer.name, channels, field, run.decode_recipe)
    write_png(sheet, file, {"Title": f"what channels of {layer.name} respond to"})
    return {
        "layer": layer.name,
        "receptive_field": field.size,
        "pictures": len(paths),
        "channels": [_channel(channel) for channel in channels],
        "out": str(file),
    }


def _channel(channel: "Channel") -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(channel), "places": [asdict(place) for place in channel.places]}


def _load_keras() -> None:
    """Keras on whatever starts fastest: no gradients are needed."""
    from headstart.loading import load_keras

    load_keras("looking into a network", trains=False)


def _print_pictures(content: Mapping[str, Any]) -> None:
    for row in content["pictures"]:
        if "label" in row:
            half = f"half of the heat on {row['area_of_half']:.0%} of it" if row["area_of_half"] else "no heat"
            say("{}: [bold]{}[/] {}, {}", row["path"], row["label"], f"{row['probability']:.4f}", half)
    for bad in content["quarantined"]:
        say("[yellow]left out[/] {}: {}", bad["path"], bad["reason"])
    for file in dict.fromkeys(row["out"] for row in content["pictures"]):
        say("Written to [bold]{}[/].", file)


def _print_channels(content: Mapping[str, Any]) -> None:
    rows = [(c["number"], c["label"], f"{c['explained']:.0%}", c["places"][0]["path"]) for c in content["channels"]]
    print_table(None, ("channel", "most for", "explained by answers", "most active in"), rows)
    say("{} over {} pictures. Written to [bold]{}[/].", content["layer"], f"{content['pictures']:,}", content["out"])
