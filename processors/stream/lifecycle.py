"""The states of a running processor and the ways between them."""

from __future__ import annotations

from enum import Enum


class Lifecycle(Enum):
    """Where a processor is between its start and its end."""

    CREATED = "created"
    JOINING = "joining"
    RESTORING = "restoring"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"
