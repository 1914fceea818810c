"""``alvh dlq``: what was refused, looked at and put back."""

from __future__ import annotations

import sys
from datetime import date
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
    from processors.dead_letters import Letter, Wanted
    from processors.dead_letters_requeue import Plan

#: Exit status when some of the letters could not be put back: the others were.
EXIT_SOME_REFUSED: Final = 3
#: Letters shown when no limit is given.
_LIMIT: Final = "50"
#: Characters of a reason in words that a table shows.
_DETAIL: Final = 80

dlq_app = typer.Typer(
    help="""Look at dead letters, the inputs that could not be used, and put them back.

\b
Examples:
  alvh dlq list --summary
  alvh dlq list --topic market.ticks --reason late --since 2018-02-05
  alvh dlq show 1f0c92ab44d7
  alvh dlq requeue 1f0c92ab44d7 --dry-run
""",
    no_args_is_help=True,
    **PLAIN,  # type: ignore[arg-type]
)

TopicOption = Annotated[str | None, typer.Option("--topic", metavar="TOPIC", help="Topic that they came from.")]
ReasonOption = Annotated[str | None, typer.Option("--reason", metavar="CODE", help="Why they were refused.")]
SinceOption = Annotated[
    str | None, typer.Option("--since", metavar="TIME", help="Refused then or later, by the log's clock.")
]
UntilOption = Annotated[str | None, typer.Option("--until", metavar="TIME", help="Refused before.")]


def _wanted(topic: str | None, reason: str | None, since: str | None, until: str | None) -> Wanted:
    from typing import get_args

    from processors.dead_letters import Wanted
    from topics.dead_letter import Reason

    if reason is not None and reason not in get_args(Reason):
        raise UserError(f"--reason {reason!r} is none; allowed: {', '.join(get_args(Reason))}")
    return Wanted(topic, reason, _time("--since", since), _time("--until", until))


def _time(option: str, text: str | None) -> int | None:
    from topics.times import parse_ts

    if text is None:
        return None
    try:
        return parse_ts(f"{date.fromisoformat(text)}T00:00:00Z" if len(text) == len("2018-02-05") else text)
    except ValueError:
        raise UserError(f"{option} {text!r} is no time; write it like 2018-02-05 or 2018-02-05T21:15:00Z") from None


@dlq_app.command("list")
def _list(
    context: typer.Context,
    log: LogOption = None,
    topic: TopicOption = None,
    reason: ReasonOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: Annotated[str, typer.Option("--limit", metavar="N", help="The newest N of them.")] = _LIMIT,
    summary: Annotated[bool, typer.Option("--summary", help="Counts by topic and reason instead.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show dead letters, the newest last. It joins no group, so processors may run meanwhile.

    \b
    Examples:
      alvh dlq list
      alvh dlq list --summary --log kafka://broker:9092
      alvh dlq list --topic portfolio.snapshots --reason invalid --json
    """
    most, wanted = whole("--limit", limit, 1, 10**9), _wanted(topic, reason, since, until)
    settings = settings_of(context, log=log)
    from processors.dead_letters import counts, letters, newest

    with existing_cluster_of(settings) as cluster:
        if summary:
            _show_counts(counts(letters(cluster, wanted)), as_json)
            return
        found = newest(letters(cluster, wanted), most)
    if as_json:
        print_json([letter.document() for letter in found])
    elif not found:
        say(f"no dead letters in {settings.log}{'' if wanted.anything else ' that fit what was asked for'}")
    else:
        print_table(_table(found))


def _show_counts(counted: list[tuple[str, str, int]], as_json: bool) -> None:
    if as_json:
        print_json([{"topic": topic, "reason": reason, "count": count} for topic, reason, count in counted])
        return
    if not counted:
        say("no dead letters")
        return
    from rich.table import Table

    table = Table("topic", "reason", title="dead letters", title_justify="left")
    table.add_column("count", justify="right")
    for topic, reason, count in counted:
        table.add_row(topic, reason, f"{count:,}")
    print_table(table)


def _table(found: list[Letter]) -> Any:
    from rich.table import Table

    from processors.view import printable
    from topics.times import format_ts

    table = Table("id", "refused", "where", "reason", "in words", title="dead letters", title_justify="left")
    for one in found:
        words = printable(one.letter.detail)
        table.add_row(
            one.short,
            format_ts(one.refused_ts - one.refused_ts % 1_000_000_000),
            printable(str(one.source or one.letter.topic)),
            one.letter.reason,
            words if len(words) <= _DETAIL else words[:_DETAIL] + "...",
        )
    return table


@dlq_app.command("show")
def _show(
    context: typer.Context,
    identity: Annotated[str, typer.Argument(metavar="ID", help="Id of the letter, 8 digits or more.")],
    log: LogOption = None,
    raw: Annotated[bool, typer.Option("--raw", help="The original bytes alone, as they are.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show one dead letter whole: what came, from where, and what was wrong with it.

    \b
    Examples:
      alvh dlq show 1f0c92ab44d7
      alvh dlq show 1f0c92ab44d7 --raw > original
    """
    settings = settings_of(context, log=log)
    from processors.dead_letters import named

    with existing_cluster_of(settings) as cluster:
        (letter,) = named(cluster, [identity])
    if raw:
        sys.stdout.flush()
        sys.stdout.buffer.write(letter.original())
        sys.stdout.buffer.flush()
    elif as_json:
        print_json(letter.document())
    else:
        sys.stdout.write(_page(letter))


def _page(letter: Letter) -> str:
    from processors.view import printable
    from topics.times import format_ts

    told = letter.letter
    place = "unknown" if letter.source is None else "{}, partition {}, offset {}, row {}".format(*letter.source)
    cut = f", cut to {len(letter.original()):,}" if told.truncated else ""
    lines = {
        "id": letter.id,
        "reason": told.reason,
        "in words": told.detail,
        "came from": place,
        "key": "none" if told.original_key is None else told.original_key,
        "refused": format_ts(letter.refused_ts),
        "stream time": format_ts(told.event_ts),
        "length": f"{told.length:,} bytes{cut}",
        "sha256": told.sha256,
        "lies at": f"dead.letters, partition {letter.at.partition}, offset {letter.offset}",
    }
    head = "".join(f"{name:<12} {printable(value)}\n" for name, value in lines.items())
    return f"{head}\n{printable(letter.original().decode(errors='backslashreplace'))}\n"


@dlq_app.command("requeue")
def _requeue(
    context: typer.Context,
    identities: Annotated[
        list[str] | None, typer.Argument(metavar="[ID...]", help="Ids of letters; or give filters.")
    ] = None,
    log: LogOption = None,
    topic: TopicOption = None,
    reason: ReasonOption = None,
    since: SinceOption = None,
    until: UntilOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Also those that were put back before.")] = False,
) -> int:
    """Put refused inputs back on the topic that they came from, in one transaction.

    Each goes back with its key, its bytes and its headers, and a header `alvh-requeued` with the letter's id. What has
    been put back already is refused, and so is what cannot be put back whole. It is read anew at its new place in the
    log: what was late is late again. Exit status 3 when some were refused.

    \b
    Examples:
      alvh dlq requeue 1f0c92ab44d7
      alvh dlq requeue --topic portfolio.snapshots --reason unknown_symbol --dry-run
      alvh dlq requeue --topic macro.releases --since 2018-02-05 --yes
    """
    wanted = _wanted(topic, reason, since, until)
    if identities and not wanted.anything:
        raise UserError("give ids or filters, not both")
    if not identities and wanted.anything:
        raise UserError("nothing is chosen: give ids, or filters such as --topic; `alvh dlq list` shows what there is")
    settings = settings_of(context, log=log)
    from processors.dead_letters import letters, named
    from processors.dead_letters_requeue import plan, requeue

    with existing_cluster_of(settings) as cluster:
        chosen = named(cluster, identities) if identities else list(letters(cluster, wanted))
        planned = plan(cluster, chosen, again=again)
        if dry_run or not planned.outs:
            return _told(planned, "would go back")
        _confirm(planned, yes)
        return _told(requeue(cluster, chosen, again=again), "went back")


def _confirm(planned: Plan, yes: bool) -> None:
    count = len(planned.outs)
    to = ", ".join(sorted({out.topic for _, out in planned.outs}))
    if yes:
        return
    if not sys.stdin.isatty():
        raise UserError(f"{count:,} would go back to {to}, and nobody is there to be asked; give --yes, or --dry-run")
    typer.confirm(f"Put {count:,} back to {to}?", abort=True)


def _told(done: Plan, words: str) -> int:
    for letter, why in done.refused:
        say(f"alvh: {letter.short} stays: {why}")
    for letter, out in done.outs:
        print(f"{letter.short} {words} to {out.topic}")  # noqa: T201
    if not done.outs and not done.refused:
        say("no dead letters that fit what was asked for")
    return EXIT_SOME_REFUSED if done.refused else 0
