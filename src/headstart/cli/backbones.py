"""headstart backbones"""

import click

from headstart.cli.output import json_option, print_json, print_table


@click.command()
@json_option
def backbones(as_json: bool) -> None:
    """List all backbones with the size of the pictures they were trained on."""
    from headstart.loading import load_keras

    load_keras("headstart backbones")
    from headstart.models.backbones import backbones as registry

    entries = registry().values()
    if as_json:
        print_json([{"name": entry.name, "image_size": entry.size} for entry in entries])
    else:
        print_table(None, ("backbone", "image size"), [(entry.name, entry.size) for entry in entries])
