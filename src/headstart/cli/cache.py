"""headstart cache"""

from datetime import datetime
from pathlib import Path
from typing import Any

import click

from headstart.cli.output import human_size, json_option, print_json, print_table, say
from headstart.features.store import Space, Store

_DAY = 24 * 3600


@click.group()
def cache() -> None:
    """Look after the store of features.

    It is in HEADSTART_STORE, a folder or an address as s3://bucket/store, else in the user's cache folder. Everything
    in it can be computed again.
    """


@cache.command("list")
@json_option
def list_spaces(as_json: bool) -> None:
    """List what is kept: for each backbone and way of computing, how many pictures and how many bytes."""
    store = Store()
    rows = [_row(space) for space in store.spaces()]
    if as_json:
        print_json({"store": str(store.place), "spaces": rows})
        return
    if rows:
        columns = ("backbone", "weights", "px", "frontier", "runtime", "pictures", "size", "used")
        print_table(None, columns, [_line(row) for row in rows])
    say("{} spaces in {}", len(rows), store.place)


def _line(row: dict[str, Any]) -> list[Any]:
    return [
        row["backbone"],
        Path(str(row["weights"])).name,
        row["image_size"],
        row["frontier"],
        f"{row['runtime']} {row['precision']}",
        row["pictures"],
        human_size(row["bytes"]),
        row["last_used"][5:10],
    ]


def _row(space: Space) -> dict[str, Any]:
    about = space.about()
    return {
        "space": space.path.name[:8],
        "backbone": about.get("backbone"),
        "weights": about.get("weights"),
        "image_size": about.get("image_size"),
        "frontier": "+".join("x".join(map(str, shape)) for shape in about.get("frontier", [])),
        "runtime": about.get("runtime"),
        "precision": about.get("precision"),
        "last_used": datetime.fromtimestamp(space.last_used()).isoformat(" ", "minutes"),
        "bytes": space.size(),
        "pictures": len(space.refresh(touch=False)),
    }


@cache.command()
@json_option
@click.pass_context
def verify(context: click.Context, as_json: bool) -> None:
    """Compare everything that is kept with its checksums.

    Damaged features are dropped and computed again when they are next needed. The exit code is 1 if there were any.
    """
    found = {space.path.name: space.verify() for space in Store().spaces()}
    rows, damaged = sum(h.rows for h in found.values()), sum(h.damaged for h in found.values())
    if as_json:
        print_json({"spaces": len(found), "pictures": rows, "damaged": damaged})
    else:
        say("{} pictures in {} spaces are whole; {} were damaged and are dropped.", rows, len(found), damaged)
    context.exit(1 if damaged else 0)


@cache.command()
@click.option(
    "--older-than",
    type=click.FloatRange(min=0),
    default=30,
    show_default=True,
    metavar="DAYS",
    help="Remove what has not been used for so long.",
)
@click.option("--all", "everything", is_flag=True, help="Remove everything.")
@json_option
def prune(older_than: float, everything: bool, as_json: bool) -> None:
    """Remove features and converted models that have not been used for a time."""
    freed = Store().prune(0 if everything else older_than * _DAY)
    print_json({"freed": freed}) if as_json else say("{} freed.", human_size(freed))
