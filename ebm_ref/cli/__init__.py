"""The command line: ``ebm-ref verify | exact | sample | train | complete | plot | zoo | vectors | bench``.

Exit status: 0 it holds, 1 it does not hold or a run diverged, 2 wrong use, 3 too little data to tell.
Commands import what they need when they run, so that ``--help`` is quick.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from ebm_ref.errors import DivergenceError, EbmError, InsufficientDataError

DIVERGED, WRONG_USE, TOO_LITTLE_DATA, INTERRUPTED = 1, 2, 3, 130


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with its exit status."""
    from ebm_ref.cli.commands import cli

    try:
        status = cli.main(args=arguments, prog_name="ebm-ref", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        status = WRONG_USE
    except (click.Abort, KeyboardInterrupt):
        click.echo("ebm-ref: interrupted; nothing half-written was left behind", err=True)
        status = INTERRUPTED
    except InsufficientDataError as error:
        click.echo(f"ebm-ref: {error}", err=True)
        status = TOO_LITTLE_DATA
    except DivergenceError as error:
        click.echo(f"ebm-ref: {error}", err=True)
        click.echo("the run diverged; nothing was written but a --checkpoint; try a lower --lr or --clip", err=True)
        status = DIVERGED
    except (EbmError, OSError) as error:
        click.echo(f"ebm-ref: {error}", err=True)
        status = WRONG_USE
    sys.exit(status if isinstance(status, int) else 0)
