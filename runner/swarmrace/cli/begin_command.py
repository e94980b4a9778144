"""`swarmrace begin`: begins the folders of an app-of-apps' sweeps before the first race."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from swarmrace.cli.pod_options import SCENARIO_FILE


@click.command()
@click.argument("file", type=SCENARIO_FILE)
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Mount point of the claim; each sweep has a folder in it.",
)
@click.option(
    "--fill-secret", metavar="SECRET", help="Put a token into this Secret if it has none."
)
@click.option(
    "--key", default="token", show_default=True, help="With --fill-secret: the token's key."
)
@click.option(
    "--health-check",
    metavar="NAMESPACE/CONFIGMAP",
    help="Refuse to begin unless this ConfigMap of Argo CD has the health check of Applications.",
)
def begin(file: Path, folder: Path, **options: Any) -> None:
    """Check the races in FILE (JSON), then begin or continue their sweeps' folders."""
    from swarmrace.cli import begin_run

    begin_run.run(begin_run.read(file), folder, **options)
