"""``alvh state``: what the processors remember, looked at and checked against their inputs."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from processors.commands.shared import (
    PLAIN,
    JsonOption,
    LogOption,
    existing_cluster_of,
    print_json,
    print_table,
    say,
    settings_of,
    whole,
)
from processors.errors import UserError

if TYPE_CHECKING:
    from processors.state import Saved
    from processors.state_verify import Verdict

#: Exit status when a state, or an output, is not what the inputs give.
EXIT_DIFFERENT: Final = 1
#: Differences of one partition that are shown to a person.
_SHOWN: Final = 10

state_app = typer.Typer(
    help="""Look at the state of a processor, and check it against the inputs.

\b
Examples:
  alvh state inspect market
  alvh state inspect hedge --key portfolio/pension
  alvh state verify market --outputs
""",
    no_args_is_help=True,
    **PLAIN,  # type: ignore[arg-type]
)


class _Processor(StrEnum):
    MARKET = "market"
    HEDGE = "hedge"
    ALERTS = "alerts"


ProcessorArgument = Annotated[_Processor, typer.Argument(metavar="PROCESSOR", help="market, hedge or alerts.")]
PartitionOption = Annotated[str | None, typer.Option("--partition", metavar="N", help="One partition; else all.")]


def _number(partition: str | None) -> int | None:
    return None if partition is None else whole("--partition", partition, 0, 1023)


@state_app.command("inspect")
def _inspect(
    context: typer.Context,
    processor: ProcessorArgument,
    log: LogOption = None,
    partition: PartitionOption = None,
    key: Annotated[str | None, typer.Option("--key", metavar="KEY", help="The document of one key.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a processor keeps: positions and times of its inputs, and the size of each key's state.

    It reads the changelog as it was last committed and joins no group, so the processor may run meanwhile.

    \b
    Examples:
      alvh state inspect market
      alvh state inspect hedge --partition 2 --json
      alvh state inspect market --key market/US
    """
    number = _number(partition)
    settings = settings_of(context, log=log)
    from processors.state import saved_states

    with existing_cluster_of(settings) as cluster:
        states = saved_states(cluster, processor.value, number)
    if key is not None:
        print_json(_document(states, key, processor.value))
    elif as_json:
        print_json([state.document() for state in states])
    elif not any(state.positions for state in states):
        say(f"{processor.value} has no state in {settings.log}: nothing was ever committed")
    else:
        print_table(_tables(states))


def _document(states: list[Saved], key: str, name: str) -> Any:
    import difflib

    for state in states:
        if key.encode() in state.entries:
            return state.entries[key.encode()].document()
    known = sorted({one.decode(errors="replace") for state in states for one in state.entries})
    close = ", ".join(difflib.get_close_matches(key, known, 5, 0.5) or known[:5]) or "none"
    raise UserError(f"{name} keeps no state under the key {key!r}; {len(known)} keys, such as: {close}")


def _tables(states: list[Saved]) -> Any:
    from rich.console import Group
    from rich.table import Table

    from processors.view import printable

    inputs = Table("partition", "input", title="inputs", title_justify="left")
    inputs.add_column("next offset", justify="right")
    inputs.add_column("event time reached")
    keys = Table("partition", "key", title="state", title_justify="left")
    keys.add_column("bytes", justify="right")
    keys.add_column("written")
    for state in states:
        document = state.document()
        for topic, position in document["positions"].items():
            reached = document["stream_times"].get(topic)
            inputs.add_row(str(state.partition), topic, f"{position:,}", reached or "nothing yet")
        for one in document["keys"]:
            keys.add_row(str(state.partition), printable(one["key"]), f"{one['bytes']:,}", one["written_ts"])
    return Group(inputs, keys)


@state_app.command("verify")
def _verify(
    context: typer.Context,
    processor: ProcessorArgument,
    log: LogOption = None,
    partition: PartitionOption = None,
    outputs: Annotated[bool, typer.Option("--outputs", help="Compare the outputs too.")] = False,
    as_json: JsonOption = False,
) -> int:
    """Work a processor's state out anew from its inputs, in memory, and compare it with what it keeps.

    The inputs are read from their beginning, so none of them may be past its retention, and settings and calibration
    must be those of the processor. Exit status 1 when something differs, with the first difference of each key.

    \b
    Examples:
      alvh state verify market
      alvh state verify hedge --partition 2 --outputs --json
    """
    number = _number(partition)
    settings = settings_of(context, log=log)
    calibration = settings.load_calibration()
    from processors.run import processors_for
    from processors.state import saved_states
    from processors.state_verify import verify

    with existing_cluster_of(settings) as cluster:
        states = saved_states(cluster, processor.value, number)
        if number is None:
            states = [state for state in states if state.positions]
        if not states:
            raise UserError(f"{processor.value} has no state in {settings.log}: nothing was ever committed")
        (fresh,) = processors_for((processor.value,), calibration, settings)
        verdicts = [verify(cluster, fresh, state, outputs=outputs) for state in states]
    if as_json:
        print_json([verdict.document() for verdict in verdicts])
    else:
        for verdict in verdicts:
            _tell(verdict, processor.value, outputs)
    return 0 if all(verdict.equal for verdict in verdicts) else EXIT_DIFFERENT


def _tell(verdict: Verdict, name: str, outputs: bool) -> None:
    where = f"{name}, partition {verdict.partition}"
    looked = f"{verdict.keys:,} keys" + (f" and {verdict.outs:,} outputs" if outputs else "")
    if verdict.equal:
        order = {"merged": "in merged order", "commits": "commit by commit", "written": "as they were written"}
        print(f"{where}: {looked} are what {verdict.rows:,} rows give, {order[verdict.order]}")  # noqa: T201
        return
    differences = (*verdict.state, *verdict.outputs)
    print(f"{where}: {len(differences):,} of {looked} differ from what {verdict.rows:,} rows give")  # noqa: T201
    for difference in differences[:_SHOWN]:
        print(f"  {difference}")  # noqa: T201
    if verdict.state:
        say(
            "alvh: no order of the inputs that was tried gives this state. Other settings or another calibration do"
            " that, or another version; and so does an input that was written after later ones had been taken, once"
            " compaction has removed the commits that would tell"
        )
