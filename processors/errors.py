"""Every error that leaves this package.

::

    AlvhError
    ├── UserError             what the user gave cannot be used; says what is allowed and what to do (exit status 2)
    │   ├── ConfigError       a setting is wrong
    │   └── Denied            the log refuses this user; says which resource, and what to grant
    ├── Rebalanced            partitions moved away before the commit; the work is read again, nothing is lost
    └── Fatal                 the process must end and be started again (exit status 70)
        ├── Fenced            another member has taken over this member's place
        ├── DeadlineExceeded  a call to the log did not answer in time
        ├── PartitionStalled  a partition has something to read and stays silent
        ├── LogUnavailable    the log cannot be reached or refuses this member
        └── StateMismatch     state and positions in the log do not belong together
"""

from __future__ import annotations

#: Exit status of a process that ends because of a :class:`Fatal` error (BSD's EX_SOFTWARE).
EXIT_FATAL = 70
#: Exit status of a process that ends because of a :class:`UserError`.
EXIT_USAGE = 2


class AlvhError(Exception):
    """Base of all errors of this package."""


class UserError(AlvhError):
    """What the user gave cannot be used. The message says what was given, what is allowed and what to do."""


class ConfigError(UserError):
    """A setting is wrong."""


class Denied(UserError):
    """The log refuses this user: its certificate, its password, or an ACL that is missing.

    Started again it would be refused again, until a person changes something. Nothing is lost or doubled meanwhile.
    """


class Rebalanced(AlvhError):
    """The group gave partitions to another member before the commit. Drop the uncommitted work and go on polling."""


class Fatal(AlvhError):
    """The process must end. Started again it goes on from the last commit: nothing is lost or doubled."""


class Fenced(Fatal):
    """Another member has taken over this member's identity or lease."""


class DeadlineExceeded(Fatal):
    """A call to the log did not answer within its deadline; whether it took effect is unknown until the restart."""


class PartitionStalled(Fatal):
    """A partition has something to read and the client has stayed silent about it for too long."""


class LogUnavailable(Fatal):
    """The log cannot be reached, or refuses this member."""


class StateMismatch(Fatal):
    """State in the changelog and positions of the group do not belong together, or its format is unknown."""
