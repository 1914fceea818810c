"""What the commands share: options, the settings and the log that were asked for, and how answers are printed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from processors.errors import UserError

if TYPE_CHECKING:
    from processors.config import Settings
    from processors.stream.log import Cluster

#: How every group of commands is set up.
PLAIN: Final = {"rich_markup_mode": None, "add_completion": False, "pretty_exceptions_enable": False}

LogOption = Annotated[str | None, typer.Option("--log", metavar="URL", help="kafka://HOST:PORT, sqlite://FILE, ...")]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]


@dataclass(frozen=True, slots=True)
class Globals:
    """What is given before the name of a command: the settings file, and the least severe log lines."""

    config: Path | None
    log_level: str | None


def settings_of(context: typer.Context, config: Path | None = None, quiet: bool = True, **given: Any) -> Settings:
    """The settings, with log lines set up. Commands that a person watches are ``quiet``: warnings alone."""
    from processors.config import load
    from processors.logs import set_up

    chosen: Globals = context.obj
    settings = load(config or chosen.config, {"log_level": chosen.log_level, **given})
    level = "warning" if quiet and settings.was_default("log_level") else settings.log_level
    set_up(level, settings.log_format)
    return settings


@contextmanager
def cluster_of(settings: Settings) -> Iterator[Cluster]:
    """The log that the settings name, closed at the end."""
    from processors.run import connect

    cluster = connect(settings)
    try:
        yield cluster
    finally:
        cluster.close()


def must_exist(settings: Settings) -> None:
    """UserError when the log is a file that is not there: a command that looks makes none."""
    scheme, _, file = settings.log.partition("://")
    if scheme == "sqlite" and not Path(file).exists():
        raise UserError(
            f"there is no file {file}, so there is no log in it; name another with --log or the setting `log`,"
            " or write one with `alvh feed` or `alvh run`"
        )


@contextmanager
def existing_cluster_of(settings: Settings) -> Iterator[Cluster]:
    """The log for a command that only reads or mends it."""
    must_exist(settings)
    with cluster_of(settings) as cluster:
        yield cluster


def print_json(document: Any) -> None:
    """A document for a program, on standard output."""
    print(json.dumps(document, indent=2, ensure_ascii=False))  # noqa: T201


def print_table(table: Any) -> None:
    """Something that rich can show, on standard output."""
    from rich.console import Console

    console = Console()
    # a pipe has no width of its own: one that cuts nothing off
    Console(width=None if console.is_terminal else 160).print(table)


def say(words: str) -> None:
    """A line for a person, on standard error."""
    print(words, file=sys.stderr)  # noqa: T201


def whole(option: str, text: str, low: int, high: int) -> int:
    """The whole number that was given to an option; UserError when it is none, or out of bounds."""
    if text.isascii() and text.isdecimal() and low <= int(text) <= high:
        return int(text)
    raise UserError(f"{option} {text!r} is not possible; give a whole number, {low} to {high}")
