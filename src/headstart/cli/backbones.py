"""headstart backbones"""

import click

from headstart.cli.output import json_option, print_json, print_table


@click.command()
@json_option
def backbones(as_json: bool) -> None:
    """List all backbones with their native picture sizes and where their pretrained weights come from."""
    from headstart.loading import load_keras

    load_keras("headstart backbones", trains=False)
    from headstart.models.backbones import backbones as registry

    entries = registry().values()
    if as_json:
        found = [{"name": entry.name, "image_size": entry.size, "packaged": entry.packaged} for entry in entries]
        print_json(found)
    else:
        sources = {True: "come with headstart", False: "ImageNet, from KERAS_HOME or fetched"}
        rows = [(entry.name, entry.size, sources[entry.packaged]) for entry in entries]
        print_table(None, ("backbone", "image size", "weights"), rows)
