"""A secondary signal that may move the score."""

from typing import NamedTuple

from topics.calibration import ModifierPartName


class Acting(NamedTuple):
    """A standardised signal that acts.

    Attributes:
        z: the signal in standard deviations; 1.0 for a flag that is up.
        age: sessions since it was taken up; 0 for one that is replaced every session.
    """

    name: ModifierPartName
    z: float
    age: int = 0
