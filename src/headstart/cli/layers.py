"""headstart layers"""

from dataclasses import asdict

import click

from headstart.cli.output import human_size, json_option, print_json, print_table, say


@click.command()
@click.argument("backbone")
@click.option(
    "--image-size",
    type=click.IntRange(min=1),
    metavar="PIXELS",
    help="Rows and columns.  [default: the backbone's own]",
)
@json_option
def layers(backbone: str, image_size: int | None, as_json: bool) -> None:
    """List the layers of BACKBONE by number, and what a cut behind each would cost.

    "Kept" is what one picture would take in the store if all layers up to and with this one were frozen and the
    others trained.
    """
    from headstart.loading import load_keras

    load_keras("headstart layers")
    from headstart.models.backbones import find_backbone
    from headstart.models.cut import layer_costs

    entry = find_backbone(backbone)
    model = entry.build(image_size)
    costs = layer_costs(model)
    width = model.output_shape[-1]
    if as_json:
        print_json(
            {
                "backbone": entry.name,
                "image_size": image_size or entry.size,
                "feature_width": width,
                "parameters": model.count_params(),
                "layers": [asdict(cost) for cost in costs],
            }
        )
        return
    print_table(
        f"{entry.name} at {image_size or entry.size} px",
        ("#", "layer", "type", "output", "parameters", "kept"),
        [
            (
                c.number,
                c.name,
                c.type,
                "x".join(map(str, c.output_shape)),
                c.parameters,
                human_size(c.bytes_per_picture),
            )
            for c in costs
        ],
    )
    say("{} parameters; pooled features are {} values, {}.", f"{model.count_params():,}", width, human_size(4 * width))
