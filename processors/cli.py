"""The command ``alvh``.

Exit statuses: 0 done; 1 a state is not what its inputs give; 2 what was given cannot be used, or access is denied;
3 something was refused and left as it is: topics whose change would lose data, dead letters that cannot be put back;
70 the process must be started again; 130 interrupted. Errors are one line on standard error.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from processors.commands.config import config_app
from processors.commands.dlq import dlq_app
from processors.commands.shared import (
    PLAIN,
    Globals,
    JsonOption,
    LogOption,
    cluster_of,
    existing_cluster_of,
    print_json,
    print_table,
    say,
    settings_of,
    whole,
)
from processors.commands.state import state_app
from processors.commands.topics import topics_app
from processors.errors import EXIT_FATAL, EXIT_USAGE, Fatal, UserError

if TYPE_CHECKING:
    from processors.find_rebalance import Source

#: Exit status after Ctrl-C, as shells have it.
EXIT_INTERRUPTED: Final = 130
#: Exit status when nobody reads the output any more, as shells have it.
EXIT_PIPE: Final = 141

logger = logging.getLogger("alvh.cli")

app = typer.Typer(
    name="alvh",
    help="""Turn market ticks and macro releases into volatility regimes and layered hedge rebalances.

It advises and sends no orders. It is no investment advice.

\b
Examples:
  alvh demo                                 recorded history, end to end, in one process
  alvh run all                              every processor over the log of alvh.toml
  alvh feed recordings/2018-02              a recorded directory into the log
  alvh tail hedge.rebalances --follow       what comes out
  alvh explain --last                       the newest rebalance as a page
""",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    **PLAIN,  # type: ignore[arg-type]
)


class _Name(StrEnum):
    MARKET = "market"
    HEDGE = "hedge"
    ALERTS = "alerts"
    ALL = "all"


class _Fills(StrEnum):
    REPORTED = "reported"
    ASSUMED = "assumed"
    MODELLED = "modelled"


def _version(asked: bool) -> None:
    if asked:
        print(f"alvh {version('alvh')}")  # noqa: T201
        raise typer.Exit


@app.callback()
def _main(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Settings file; else ALVH_CONFIG, else alvh.toml.")
    ] = None,
    log_level: Annotated[
        str | None, typer.Option("--log-level", metavar="LEVEL", help="debug, info, warning or error.")
    ] = None,
    _show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and end.")
    ] = False,
) -> None:
    context.obj = Globals(config, log_level)


@contextmanager
def _stopping() -> Iterator[Callable[[], bool]]:
    """Whether a first Ctrl-C or SIGTERM has come; the second one interrupts at once."""
    asked = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@app.command()
def run(
    context: typer.Context,
    names: Annotated[list[_Name], typer.Argument(metavar="NAME...", help="market, hedge, alerts, or all.")],
    log: LogOption = None,
    instance: Annotated[
        str | None, typer.Option("--instance", help="Name of this instance, kept over restarts.")
    ] = None,
    http_port: Annotated[str | None, typer.Option("--http-port", help="Port of the health pages; 0: any free.")] = None,
) -> int:
    """Run processors until a signal ends them.

    SIGTERM or Ctrl-C: the batch is finished and committed, the group left, exit status 0. A second one ends at once.
    /healthz, /readyz and /metrics are on 127.0.0.1:9464.

    \b
    Examples:
      alvh run all
      alvh run market --log kafka://broker:9092 --instance market-a
      alvh --config /etc/alvh.toml run hedge alerts --http-port 9465
    """
    settings = settings_of(context, quiet=False, log=log, instance=instance, http_port=http_port)
    from processors.run import run as run_processors

    return run_processors(tuple(name.value for name in names), settings)


def _speed(text: str) -> float | None:
    if text == "max":
        return None
    try:
        return float(text)
    except ValueError:
        raise UserError(f"a speed of {text!r} is not possible; give a number above 0, or `max`") from None


def _date(option: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UserError(f"{option} {text!r} is no date; write it like 2018-02-05") from None


@app.command()
def feed(
    context: typer.Context,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Recorded directory; see the README for its form.")],
    log: LogOption = None,
    speed: Annotated[str, typer.Option(metavar="N|max", help="Seconds of event time a second, or max.")] = "max",
    block_size: Annotated[str, typer.Option(metavar="N", help="Ticks in one Arrow block; 1: each as JSON.")] = "4096",
    again: Annotated[bool, typer.Option("--again", help="Feed it all, even what is in the log already.")] = False,
) -> int:
    """Publish a recorded directory in the order of events, each row once.

    A feed that was stopped or killed goes on where it was when it is started again.

    \b
    Examples:
      alvh feed recordings/2018-02
      alvh feed recordings/2018-02 --speed 60 --log kafka://broker:9092
      alvh feed recordings/2018-02 --block-size 1
    """
    pace, size = _speed(speed), whole("--block-size", block_size, 1, 65_536)
    settings = settings_of(context, log=log)
    from processors.feeds.feed import feed as feed_directory
    from processors.run import prepare_topics
    from topics.catalog import FED, FEED_POSITIONS

    partitions = None if settings.was_default("partitions") else settings.partitions
    with cluster_of(settings) as cluster, _stopping() as stop, _progress() as progress:
        if settings.log.startswith("kafka://"):
            prepare_topics(cluster, settings, (*FED, FEED_POSITIONS))
        report = feed_directory(
            directory,
            cluster,
            speed=pace,
            block_size=size,
            progress=progress,
            resume=not again,
            stop=stop,
            partitions=partitions,
        )
    say(_fed(report, directory, settings.log))
    return 0 if report.finished else EXIT_INTERRUPTED


def _fed(report: Any, directory: Path, log: str) -> str:
    if report.nothing_to_do:
        return f"{directory} is in {log} already, all {report.resumed_at:,} rows; --again feeds it once more"
    end = "" if report.finished else "; stopped before its end, the same command goes on from there"
    records = sum(report.messages.values())
    return f"{report.rows:,} rows of {directory} went to {log} as {records:,} records{end}"


@contextmanager
def _progress() -> Iterator[Callable[[int, int, float], None] | None]:
    """A bar on a terminal; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (BarColumn(), TaskProgressColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=1.0)

        def show(rows: int, ts: int, fraction: float) -> None:
            reached = datetime.fromtimestamp(ts // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M") if ts else ""
            bar.update(task, completed=fraction, description=f"{rows:,} rows, {reached}")

        yield show


@app.command()
def replay(
    context: typer.Context,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Recorded directory.")],
    out: Annotated[Path, typer.Option("--out", metavar="OUT", help="Folder for the outputs.")],
    config: Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Settings file.")] = None,
    fills: Annotated[
        _Fills | None,
        typer.Option(
            "--fills",
            help="Replaces that of every portfolio; assumed: as if advice was filled; modelled: modelled options too.",
        ),
    ] = None,
) -> int:
    """Drive the processors from a recorded directory, without a log, and write what they put out.

    One JSON file a topic, and summary.json with the digests of all. The same recording, calibration and partitions
    give the same bytes. OUT must be new, empty, or an earlier replay.

    \b
    Examples:
      alvh replay recordings/2018-02 --out out
      alvh replay recordings/2018-02 --out out --config other.toml
    """
    settings = settings_of(context, config)
    calibration = settings.load_calibration()
    from processors.replay import replay as replay_directory
    from processors.run import pace_of

    summary = replay_directory(
        directory,
        out,
        calibration,
        progress=sys.stderr.isatty(),
        fills=None if fills is None else fills.value,
        partitions=settings.partitions,
        pace=pace_of(settings),
    )
    listed = ", ".join(f"{count:,} {topic}" for topic, count in summary.outputs.items())
    say(f"{out}: {listed} in {summary.wall_seconds:.1f} s; {summary.digest}")
    return 0


@app.command()
def tail(
    context: typer.Context,
    topic: Annotated[str, typer.Argument(metavar="TOPIC", help="Topic to read, like hedge.rebalances.")],
    log: LogOption = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on showing what is added.")] = False,
    count: Annotated[str | None, typer.Option("--count", "-n", metavar="N", help="How many records to show.")] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Values as they are, one a line.")] = False,
    from_beginning: Annotated[bool, typer.Option("--from-beginning", help="Begin with the oldest record.")] = False,
) -> int:
    """Show the records of a topic.

    \b
    Examples:
      alvh tail regime.states --count 5
      alvh tail hedge.rebalances --follow
      alvh tail dead.letters --from-beginning --raw
    """
    most = None if count is None else whole("--count", count, 1, 10**9)
    settings = settings_of(context, log=log)
    from rich.console import Console

    from processors.tail import tail as tail_topic

    with existing_cluster_of(settings) as cluster:
        tail_topic(topic, cluster, follow=follow, count=most, raw=raw, from_beginning=from_beginning, console=Console())
    return 0


@app.command()
def explain(
    context: typer.Context,
    what: Annotated[
        str | None, typer.Argument(metavar="EVENT_ID", help="Event to explain; with --last the portfolio, or none.")
    ] = None,
    directory: Annotated[
        Path | None, typer.Argument(metavar="DIR", help="Folder that a replay wrote, instead of a log.")
    ] = None,
    log: LogOption = None,
    last: Annotated[bool, typer.Option("--last", help="The newest rebalance, of one portfolio or of all.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The event's document instead of a page.")] = False,
) -> None:
    """Show a rebalance as one page: what to do, why, which rule moved what, limits, and what stands against it.

    EVENT_ID may be abbreviated to 8 hexadecimal digits, with or without `sha256:`. With --last the first word names
    a portfolio, unless it is the only one and a folder. It joins no group, so processors may run meanwhile.

    \b
    Examples:
      alvh explain --last
      alvh explain f5f33431 --log kafka://broker:9092
      alvh explain --last pension out
      alvh explain sha256:f5f33431 out --json
    """
    if last and directory is None and what is not None and Path(what).is_dir():
        directory, what = Path(what), None
    if not last and what is None:
        raise UserError("nothing to explain is given: an EVENT_ID, or --last [PORTFOLIO] for the newest rebalance")
    if directory is not None and log is not None:
        raise UserError(f"give one of {directory} and --log {log}, not both")
    from processors.find_rebalance import FolderSource, LogSource, digits_of

    portfolio, digits = (what, None) if last else (None, digits_of(what or ""))
    settings = settings_of(context, log=log)
    if directory is not None:
        _explain(FolderSource(directory), digits, portfolio, as_json)
        return
    with existing_cluster_of(settings) as cluster:
        _explain(LogSource(cluster, settings.log), digits, portfolio, as_json)


def _explain(source: Source, digits: str | None, portfolio: str | None, as_json: bool) -> None:
    from rich.console import Console

    from processors.explain import LEAST_WIDTH, explain_text
    from processors.explain import explain as page_of
    from processors.find_rebalance import find, newest, read, regime_of

    document = newest(source, portfolio) if digits is None else find(source, digits)
    if as_json:
        print_json(document)
        return
    event = read(document)
    regime, screen = regime_of(source, event), Console()
    if screen.is_terminal:
        page = page_of(event, regime)
        Console(width=max(screen.width, LEAST_WIDTH)).print(page, highlight=False, markup=False, emoji=False)
    else:
        sys.stdout.write(explain_text(event, regime))


@app.command()
def signals(
    context: typer.Context,
    log: LogOption = None,
    market: Annotated[str, typer.Option("--market", metavar="NAME", help="Market to look at, with --log.")] = "US",
    as_json: JsonOption = False,
) -> None:
    """Show the concepts of the methodology: what each rests on, its default and weight, and where it acts.

    With --log also what a market has of them: each signal's value, the age of its oldest input in event time, and
    whether it is ready, still warms up, or lacks an input. It joins no group, so processors may run meanwhile.

    \b
    Examples:
      alvh signals
      alvh signals --log sqlite://alvh.sqlite
      alvh signals --log kafka://broker:9092 --market US --json
    """
    settings = settings_of(context, log=log)
    calibration = settings.load_calibration()
    from processors.signals_report import document, notes, observe, tables

    observed = None
    if log is not None:
        with existing_cluster_of(settings) as cluster:
            observed = observe(cluster, market)
    if as_json:
        print_json(document(calibration, observed))
        return
    print_table(tables(calibration, observed))
    for note in () if observed is None else notes(calibration, observed):
        say(f"alvh: {note}")


@app.command()
def coverage(
    context: typer.Context,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that a replay wrote.")],
    config: Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Settings file.")] = None,
    market: Annotated[str, typer.Option("--market", metavar="NAME", help="Market to look at.")] = "US",
    as_json: JsonOption = False,
) -> None:
    """Show what each secondary signal did over a replay.

    Where it had a value, how many score points it gave, which changes of state it caused or prevented by itself, and
    the share of sessions in which every other feature had a value. The calibration must be that of the replay.

    \b
    Examples:
      alvh coverage out
      alvh coverage out --config other.toml --json
    """
    calibration = settings_of(context, config).load_calibration()
    from processors.coverage import coverage as coverage_of
    from processors.coverage import document, read_states, sessions_of, tables

    found = coverage_of(calibration.regime, sessions_of(read_states(directory), market, calibration))
    if as_json:
        print_json({"market": market, **document(found)})
        return
    print_table(tables(found))


@app.command()
def study(
    context: typer.Context,
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder that a replay wrote.")],
    config: Annotated[Path | None, typer.Option("--config", metavar="FILE", help="Settings file.")] = None,
    portfolio: Annotated[
        str | None, typer.Option("--portfolio", metavar="NAME", help="One portfolio; else all of them.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what the hedge of a replay would have earned and cost: by year and layer.

    Events, rolls, turnover over H, what dealing cost, carry, P&L, its largest drawdown, and the P&L in the five
    sessions of each year in which the SPX fell most. The calibration must be that of the replay.

    Every leg is taken to be dealt in full at its limit, the worst price that its event names. Futures are marked at
    the settlements of their own contract; what is held at its expiry settles at the last settlement before it. Option
    prices are MODELLED from the VX curve and VVIX where no chain was recorded, and the marks of options always are:
    nobody quoted them. Fees are the calibration's for options and 2 USD a contract and side for futures. Margin,
    interest and taxes are left out. It is a study of the rules, no record of returns.

    \b
    Examples:
      alvh replay recordings/2004-2019 --out out --fills modelled && alvh study out
      alvh study out --portfolio spx-1m --json
    """
    calibration = settings_of(context, config).load_calibration()
    from processors.study.read import followed
    from processors.study.show import tables
    from processors.study.table import document

    found = followed(directory, calibration, portfolio)
    if as_json:
        print_json({"portfolios": [document(each) for each in found]})
        return
    print_table(tables(found))


@app.command()
def demo(
    context: typer.Context,
    first: Annotated[str, typer.Option("--from", metavar="DATE", help="First session shown.")] = "2017-06-01",
    last: Annotated[str, typer.Option("--to", metavar="DATE", help="Last session shown.")] = "2018-12-31",
    speed: Annotated[str, typer.Option(metavar="N|max", help="Multiplies the pace on a terminal, or max.")] = "1",
    svg: Annotated[Path | None, typer.Option("--svg", metavar="FILE", help="Write the last screen there.")] = None,
) -> int:
    """June 2017 to December 2018, with the shock of February 2018: ticks in, regimes, rebalances and alerts out.

    It is the running system in small, in one process. It needs no broker and no network and leaves nothing behind.

    \b
    Examples:
      alvh demo
      alvh demo --from 2018-01-02 --to 2018-02-09 --svg demo.svg
    """
    settings_of(context)
    from processors.demo import demo as show

    return show(first=_date("--from", first), last=_date("--to", last), speed=_speed(speed), svg=svg)


app.add_typer(config_app, name="config")
app.add_typer(topics_app, name="topics")
app.add_typer(dlq_app, name="dlq")
app.add_typer(state_app, name="state")

_ClickException: Final[type[Any]] = typer.BadParameter.__mro__[2]


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    try:
        result = app(arguments, standalone_mode=False, prog_name="alvh")
        sys.stdout.flush()
        return result if isinstance(result, int) else 0
    except _ClickException as error:
        error.show()
        return EXIT_USAGE
    except UserError as error:
        _complain(error)
        return EXIT_USAGE
    except Fatal as error:
        _complain(error)
        return EXIT_FATAL
    except (KeyboardInterrupt, typer.Abort):
        return EXIT_INTERRUPTED
    except (BrokenPipeError, SystemExit):
        # who read has seen enough; nothing more may be written, not even at the end
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        return EXIT_PIPE


def _complain(error: Exception) -> None:
    from processors.logs import without_secrets

    for line in without_secrets(str(error)).splitlines():
        say(f"alvh: {line}")


if __name__ == "__main__":
    sys.exit(main())
