"""``alvh config``: the settings in force and where each came from."""

from __future__ import annotations

from typing import Annotated

import typer

from processors.commands.shared import PLAIN, JsonOption, print_json, print_table, say, settings_of

config_app = typer.Typer(
    help="""Show the settings in force and where each came from.

\b
Examples:
  alvh config
  alvh --config /etc/alvh.toml config --json
  alvh config calibration > calibration.json
""",
    invoke_without_command=True,
    **PLAIN,  # type: ignore[arg-type]
)


@config_app.callback()
def _config(context: typer.Context, as_json: JsonOption = False) -> None:
    if context.invoked_subcommand is not None:
        return
    sources = settings_of(context).sources()
    if as_json:
        print_json({s.key: {"value": s.value, "from": s.origin} for s in sources})
        return
    from rich.table import Table

    table = Table(title="settings", title_justify="left")
    for column in ("setting", "value", "from"):
        table.add_column(column, overflow="fold")
    for source in sources:
        table.add_row(source.key, "" if source.value is None else str(source.value), source.origin)
    print_table(table)


@config_app.command("calibration")
def _calibration(
    context: typer.Context,
    digest_only: Annotated[bool, typer.Option("--digest", help="Print the digest alone.")] = False,
) -> None:
    """Print the calibration document in force; its digest goes to standard error.

    \b
    Examples:
      alvh config calibration > calibration.json
      alvh config calibration --digest
    """
    calibration = settings_of(context).load_calibration()
    if digest_only:
        print(calibration.digest())  # noqa: T201
        return
    print_json(calibration.document())
    say(f"digest {calibration.digest()}")
