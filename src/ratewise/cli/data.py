"""``ratewise data``."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True)


@app.callback()
def _noun() -> None:
    """Placeholder until the noun's commands are written."""
