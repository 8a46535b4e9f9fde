"""`rookery serve`: schedules on one machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import environment


def serve(
    folder: Annotated[Path, typer.Option("--folder", help="folder that holds prefect.yaml")] = Path(),
    host: Annotated[
        str, typer.Option(help="address to listen on; others than this one need a password or a tunnel")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 4200,
    pool: Annotated[str, typer.Option(help="work pool, as prefect.yaml names it")] = "rookery",
    limit: Annotated[int, typer.Option(min=1, help="runs at once")] = 1,
) -> None:
    """Run Prefect's server, a work pool, the deployments of prefect.yaml and a worker, until Ctrl-C."""
    environment.prepare(quiet=False)
    from ..schemas.errors import PlainError
    from . import deploy

    try:
        deploy.serve(folder, host=host, port=port, pool=pool, limit=limit)
    except PlainError as error:
        typer.secho(str(error), fg="red", err=True)
        raise SystemExit(1) from error
    except KeyboardInterrupt:
        typer.echo("stopped; runs that were at work go on where they were when they are run again")
