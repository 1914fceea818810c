"""``alvh topics``: the topics of a log, compared, created and described."""

from __future__ import annotations

import sys
from enum import StrEnum
from importlib.metadata import version
from typing import Annotated, Any

import typer

from processors.commands.shared import (
    PLAIN,
    JsonOption,
    LogOption,
    must_exist,
    print_json,
    print_table,
    say,
    settings_of,
)

topics_app = typer.Typer(
    help="""Compare, create and describe the topics of a log.

\b
Examples:
  alvh topics plan --log kafka://broker:9092
  alvh topics apply --log kafka://broker:9092
  alvh topics describe --json
  alvh topics acls market --principal User:alvh
  alvh topics asyncapi --format yaml
""",
    no_args_is_help=True,
    **PLAIN,  # type: ignore[arg-type]
)


class _Form(StrEnum):
    YAML = "yaml"
    JSON = "json"


PartitionsOption = Annotated[str | None, typer.Option("--partitions", metavar="N", help="Partitions of every topic.")]
ReplicasOption = Annotated[
    str | None, typer.Option("--replication-factor", metavar="N", help="Copies of each partition, on Kafka.")
]


def _show_plan(plan: Any, title: str, as_json: bool) -> None:
    if as_json:
        print_json(plan.document())
        return
    from processors.topic_admin import plan_table

    print_table(plan_table(plan, title))
    refused = len(plan.of("refuse"))
    if refused:
        say(f"alvh: {refused} refused, and nothing of these was changed")


@topics_app.command("plan")
def _topics_plan(
    context: typer.Context,
    log: LogOption = None,
    partitions: PartitionsOption = None,
    replication_factor: ReplicasOption = None,
    as_json: JsonOption = False,
) -> int:
    """Show what `apply` would do. Exit status 3 when something would be refused.

    \b
    Example:
      alvh topics plan --log kafka://broker:9092 --partitions 4 --replication-factor 3
    """
    settings = settings_of(context, log=log, partitions=partitions, replication_factor=replication_factor)
    from processors.topic_admin import topic_admin
    from processors.topic_plan import plan
    from topics.catalog import ALL_TOPICS

    with topic_admin(settings) as admin:
        found = plan(admin, ALL_TOPICS, settings.partitions, settings.replication_factor)
    _show_plan(found, "topics: planned", as_json)
    return found.exit_status


@topics_app.command("apply")
def _topics_apply(
    context: typer.Context,
    log: LogOption = None,
    partitions: PartitionsOption = None,
    replication_factor: ReplicasOption = None,
    as_json: JsonOption = False,
) -> int:
    """Create missing topics and change what is safe to change. Doing it again changes nothing.

    What would lose data or send keys elsewhere is refused, with the reason and what to do: exit status 3.

    \b
    Example:
      alvh topics apply --log kafka://broker:9092 --partitions 4 --replication-factor 3
    """
    settings = settings_of(context, log=log, partitions=partitions, replication_factor=replication_factor)
    from processors.topic_admin import topic_admin
    from processors.topic_plan import apply, plan
    from topics.catalog import ALL_TOPICS

    with topic_admin(settings) as admin:
        found = plan(admin, ALL_TOPICS, settings.partitions, settings.replication_factor)
        apply(admin, ALL_TOPICS, found)
    _show_plan(found, "topics: applied", as_json)
    return found.exit_status


@topics_app.command("describe")
def _topics_describe(context: typer.Context, log: LogOption = None, as_json: JsonOption = False) -> None:
    """Show the topics of the catalog and what the log has of them.

    \b
    Example:
      alvh topics describe --log kafka://broker:9092
    """
    settings = settings_of(context, log=log)
    must_exist(settings)
    from processors.topic_admin import description, description_table, topic_admin

    with topic_admin(settings) as admin:
        rows = description(admin.topics())
    if as_json:
        print_json(rows)
    else:
        print_table(description_table(rows))


@topics_app.command("acls")
def _topics_acls(
    context: typer.Context,
    names: Annotated[
        list[str], typer.Argument(metavar="NAME...", help="market, hedge, alerts, all; feed, reader, requeue, admin.")
    ],
    principal: Annotated[str, typer.Option("--principal", metavar="NAME", help="Whom to allow.")] = "User:alvh",
    as_json: JsonOption = False,
) -> None:
    """Print what a user must be allowed to do on a Kafka cluster with access control, and no more.

    Each line is what `kafka-acls --bootstrap-server HOST:PORT` takes. `all` means the three processors; a reader runs
    `alvh tail`, `explain`, `signals`, `state` and `dlq list`, who may `requeue` runs `alvh dlq requeue`, and an admin
    `alvh topics plan` and `apply`.

    \b
    Examples:
      alvh topics acls market hedge alerts --principal User:alvh
      alvh topics acls feed --principal User:feed --json
    """
    settings = settings_of(context)
    from processors.access import acls

    found = acls(names, settings)
    if as_json:
        print_json([acl.document(principal) for acl in found])
        return
    for acl in found:
        print(acl.command(principal))  # noqa: T201


@topics_app.command("asyncapi")
def _topics_asyncapi(
    context: typer.Context, form: Annotated[_Form, typer.Option("--format", help="yaml or json.")] = _Form.YAML
) -> None:
    """Print the contract of every topic as an AsyncAPI 3.0 document.

    \b
    Example:
      alvh topics asyncapi --format yaml > asyncapi.yaml
    """
    settings = settings_of(context)
    from topics.asyncapi import asyncapi, to_yaml

    kafka = settings.log.startswith("kafka://")
    document = asyncapi(
        version("alvh"),
        partitions=settings.partitions,
        replicas=settings.replication_factor,
        servers=settings.log.removeprefix("kafka://") if kafka else "localhost:9092",
    )
    if form is _Form.JSON:
        print_json(document)
    else:
        sys.stdout.write(to_yaml(document))
