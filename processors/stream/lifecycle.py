"""The states of a running processor and the ways between them.

::

    CREATED ─► JOINING ─► RESTORING ─► RUNNING ─► STOPPING ─► STOPPED
                  ▲           ▲  │        │
                  └───────────┴──┴────────┘  the group gives partitions anew
    any of them but STOPPED ─► FAILED
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final


class Lifecycle(Enum):
    """Where a processor is between its start and its end."""

    CREATED = "created"
    JOINING = "joining"
    RESTORING = "restoring"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def final(self) -> bool:
        """True when nothing follows: a process that goes on starts a new processor."""
        return not TRANSITIONS[self]

    def may_become(self, other: Lifecycle) -> bool:
        """True when ``other`` may follow, or is the same state again."""
        return other is self or other in TRANSITIONS[self]


#: What may follow each state.
TRANSITIONS: Final[Mapping[Lifecycle, frozenset[Lifecycle]]] = {
    Lifecycle.CREATED: frozenset({Lifecycle.JOINING, Lifecycle.STOPPING, Lifecycle.FAILED}),
    Lifecycle.JOINING: frozenset({Lifecycle.RESTORING, Lifecycle.STOPPING, Lifecycle.FAILED}),
    Lifecycle.RESTORING: frozenset({Lifecycle.RUNNING, Lifecycle.JOINING, Lifecycle.STOPPING, Lifecycle.FAILED}),
    Lifecycle.RUNNING: frozenset({Lifecycle.JOINING, Lifecycle.RESTORING, Lifecycle.STOPPING, Lifecycle.FAILED}),
    Lifecycle.STOPPING: frozenset({Lifecycle.STOPPED, Lifecycle.FAILED}),
    Lifecycle.STOPPED: frozenset(),
    Lifecycle.FAILED: frozenset(),
}
