"""headstart report"""

import click

from headstart.cli.output import json_option, print_json, say


@click.command()
@click.argument("run")
@click.option("--out", "-o", metavar="FILE", help="Where to write the page.  [default: RUN/report.html]")
@click.option("--data", metavar="DATA", help="Where the pictures are now, if they are not where they were in training.")
@json_option
def report(run: str, out: str | None, data: str | None, as_json: bool) -> None:
    """Draw the page of RUN: whether to trust it, why it errs, what to try next.

    One file that works offline. It is in every RUN; this draws it anew, as after the pictures have moved, and with more
    heat maps.
    """
    import headstart

    path = headstart.report(run, out=out, data=data, progress=not as_json)
    if as_json:
        print_json({"report": str(path), "bytes": path.stat().st_size, "run": run})
        return
    say("Written to [bold]{}[/]: open it in a browser.", path)
