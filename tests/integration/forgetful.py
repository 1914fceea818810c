"""A loop that is broken on purpose: what its tests must find, and what its guard is for."""

from __future__ import annotations

from processors.stream.runner import Runner, _Part


class Forgetful(Runner):
    """After a refused commit the records are read again, but the memory stays where it was."""

    kept: dict[int, _Part] | None = None

    def commit(self) -> None:
        before = dict(self._parts)
        super().commit()
        if before and not self._parts:
            self.kept = before

    def _restore(self, partition: int) -> _Part:
        part = super()._restore(partition)
        if self.kept is not None and partition in self.kept:
            part.task = self.kept.pop(partition).task
        return part
