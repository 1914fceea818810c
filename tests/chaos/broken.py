"""``alvh``, broken on purpose, to see that it is noticed: ``broken.py positions-first run all``.

``positions-first`` commits positions and state before the outputs, so that a kill in between loses these;
``outputs-first`` commits the outputs before positions and state, so that a kill in between doubles them.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

from processors import cli
from processors.stream import kafka
from processors.stream.log import Out, TopicPartition
from topics.catalog import CHANGELOGS

#: Seconds between the two commits: long, so that faults fall into it.
_BETWEEN = 0.3
_positions_first = sys.argv.pop(1) == "positions-first"


class BrokenLog(kafka.KafkaLog):
    """Commits in two transactions what belongs into one."""

    _later: list[Out]

    def send(self, out: Out) -> None:
        """Keep what belongs to the second transaction, send the rest."""
        if not hasattr(self, "_later"):
            self._later = []
        if (out.topic in CHANGELOGS) is _positions_first:
            super().send(out)
        else:
            self._later.append(out)

    def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        """Two commits, with time between them."""
        later, self._later = self._later, []
        super().commit(positions if _positions_first else {})
        time.sleep(_BETWEEN if later else 0.0)
        for out in later:
            super().send(out)
        super().commit({} if _positions_first else positions)


kafka.KafkaLog = BrokenLog  # type: ignore[misc]

if __name__ == "__main__":
    sys.exit(cli.main())
