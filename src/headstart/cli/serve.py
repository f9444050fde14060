"""headstart serve"""

from collections.abc import Sequence
from pathlib import Path

import click

from headstart.cli.output import say
from headstart.errors import InputError
from headstart.loading import require_serve

_UNITS = {"kb": 1_000, "mb": 1_000_000, "gb": 1_000_000_000, "b": 1}


class _Size(click.ParamType[int]):
    """A number of bytes, as 20MB."""

    name = "size"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        text = str(value).lower().replace("_", "").strip()
        unit = next((unit for unit in _UNITS if text.endswith(unit)), "")
        number = text.removesuffix(unit).strip()
        if not number.isdecimal() or not int(number):
            self.fail(f"{value!r} is no size; give one like 20MB.", param, ctx)
        return int(number) * _UNITS.get(unit, 1)


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="[NAME=]RUN...")
@click.option(
    "--host", default="127.0.0.1", show_default=True, metavar="ADDRESS", help="Where it listens; 0.0.0.0 lets all come."
)
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 for any that is free.")
@click.option(
    "--token",
    envvar="HEADSTART_TOKEN",
    metavar="TEXT",
    help="Let in only who knows it; also from HEADSTART_TOKEN, which others on the machine cannot see.",
)
@click.option("--allow-host", "hosts", multiple=True, metavar="NAME", help="Another name that it answers to.")
@click.option("--max-body", type=_Size(), default="20MB", show_default=True, help="Largest body of a request.")
@click.option("--max-pixels", type=click.IntRange(1), default=50_000_000, show_default=True, help="Of one picture.")
@click.option("--max-pictures", type=click.IntRange(1), default=64, show_default=True, help="In one request.")
@click.option(
    "--queue",
    type=click.IntRange(1),
    default=32,
    show_default=True,
    help="Requests under way; others get a 503 at once.",
)
@click.option(
    "--timeout", type=click.FloatRange(0.1, 3600), default=30.0, show_default=True, help="Seconds for one request."
)
@click.option("--log-requests", is_flag=True, help="Log a line for each request.")
def serve(
    runs: Sequence[str],
    host: str,
    port: int,
    token: str | None,
    hosts: Sequence[str],
    max_body: int,
    max_pixels: int,
    max_pictures: int,
    queue: int,
    timeout: float,
    log_requests: bool,
) -> None:
    """Answer over HTTP what RUNs take pictures for.

    A page for people at /, JSON at /api, the Open Inference Protocol at /v2, its description at /openapi.json, counters
    for Prometheus at /metrics. The first RUN answers where none is named; NAME=RUN gives one another name than its
    folder's. SIGHUP, or a new bundle.json, opens a RUN anew; SIGTERM ends the server once all is answered.
    """
    require_serve("headstart serve")
    from headstart.serving.guard import LOOPBACK, Access
    from headstart.serving.limits import Limits
    from headstart.serving.server import address_of, listen, open_models, serve

    named = _named(runs)
    is_local = host in LOOPBACK
    with listen(host, port) as listening:
        models = open_models(named)
        names = frozenset(map(str.lower, hosts)) | LOOPBACK | {host.lower()} if is_local or hosts else frozenset[str]()
        if not is_local and not token:
            click.echo(f"Warning: anybody who reaches {host} may ask; --token lets in only who knows it.", err=True)

        def started() -> None:
            say("Serving {} at [bold]{}[/] until Ctrl-C.", ", ".join(models), address_of(listening))

        limits = Limits(max_body, max_pixels, max_pictures, queue, timeout)
        serve(listening, models, limits, Access(token or "", names, log_requests), started)


def _named(runs: Sequence[str]) -> dict[str, Path]:
    """The RUNs by the names that clients call them."""
    found: dict[str, Path] = {}
    for given in runs:
        name, equals, path = given.partition("=")
        if not equals or Path(given).is_dir():
            name, path = Path(given).resolve().name, given
        if not name or "/" in name or not name.isprintable():
            raise InputError(f"{name!r} cannot be the name of a model; give NAME=RUN with a plain name.")
        if name in found:
            raise InputError(f"two RUNs are called {name!r}; give NAME=RUN for one of them.")
        found[name] = Path(path)
    return found
