"""Score, floors and cap at every boundary, worked by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.regime import RegimeInputs, cap_level, core_score, floor_level, floors_hit, points
from topics.calibration import Calibration, Floors, RegimeRules

RULES = RegimeRules()
BELOW = 1e-9


@pytest.mark.parametrize("name", ["vix", "ratio", "rv21", "vvix"])
def test_anchors_score_0_25_50_75_100(name: str) -> None:
    anchors = RULES.score[name].anchors  # type: ignore[index]
    assert [points(anchor, anchors) for anchor in anchors] == [0, 25, 50, 75, 100]
    assert points(anchors[0] - 1, anchors) == 0
    assert points(anchors[4] + 1, anchors) == 100
    assert points((anchors[1] + anchors[2]) / 2, anchors) == pytest.approx(37.5)


@given(st.floats(0, 60), st.floats(0, 60))
def test_points_never_fall(one: float, other: float) -> None:
    anchors = RULES.score["vix"].anchors
    low, high = sorted((one, other))
    assert 0 <= points(low, anchors) <= points(high, anchors) <= 100


def test_score_by_hand() -> None:
    # 0.45 x 50 + 0.25 x 75 + 0.20 x 25 + 0.10 x 50
    score = core_score(RULES.score, RegimeInputs(vix=20, ratio=1.05, rv21=10, vvix=100))
    assert score is not None
    assert score.value == 51.25
    assert {name: (part.points, part.weight) for name, part in score.parts.items()} == {
        "vix": (50, 0.45),
        "ratio": (75, 0.25),
        "rv21": (25, 0.20),
        "vvix": (50, 0.10),
    }


def test_missing_features_renormalise() -> None:
    # (0.45 x 50 + 0.20 x 25) / 0.65
    score = core_score(RULES.score, RegimeInputs(vix=20, rv21=10))
    assert score is not None
    assert score.value == pytest.approx(27.5 / 0.65, rel=1e-11)
    assert set(score.parts) == {"vix", "rv21"}
    assert sum(part.weight for part in score.parts.values()) == pytest.approx(1)
    alone = core_score(RULES.score, RegimeInputs(vix=30))
    assert alone is not None
    assert (alone.value, alone.parts["vix"].weight) == (75, 1)


def test_no_score_without_vix() -> None:
    assert core_score(RULES.score, RegimeInputs(ratio=1.2, rv21=30, vvix=140)) is None


def test_the_order_of_a_calibrations_mapping_does_not_matter() -> None:
    travelled = Calibration.model_validate_json(Calibration().canonical()).regime
    for vix in (11.3, 17.7, 23.9, 41.1):
        inputs = RegimeInputs(vix=vix, ratio=0.913, rv21=13.37, vvix=91.7)
        one, other = core_score(RULES.score, inputs), core_score(travelled.score, inputs)
        assert one is not None
        assert other is not None
        assert one.value == other.value


@pytest.mark.parametrize(
    ("inputs", "names"),
    [
        (RegimeInputs(vix=16.99), ()),
        (RegimeInputs(vix=17), ("moderate:vix>=17",)),
        (RegimeInputs(vix=17.99, ratio=1.5), ("moderate:vix>=17",)),
        (RegimeInputs(vix=18, ratio=1.0), ("elevated:vix>=18&ratio>=1", "moderate:vix>=17")),
        (RegimeInputs(vix=18, ratio=0.999), ("moderate:vix>=17",)),
        (RegimeInputs(vix=18), ("moderate:vix>=17",)),
        (RegimeInputs(vix=21.99), ("moderate:vix>=17",)),
        (RegimeInputs(vix=22), ("elevated:vix>=22", "moderate:vix>=17")),
        (
            RegimeInputs(vix=20, ratio=1.1),
            ("high:vix>=20&ratio>=1.1", "elevated:vix>=18&ratio>=1", "moderate:vix>=17"),
        ),
        (RegimeInputs(vix=20, ratio=1.0999), ("elevated:vix>=18&ratio>=1", "moderate:vix>=17")),
        (RegimeInputs(vix=19.99, ratio=1.1), ("elevated:vix>=18&ratio>=1", "moderate:vix>=17")),
        (RegimeInputs(vix=25, vix_change=0.4), ("high:vix>=25&change>=0.4", "elevated:vix>=22", "moderate:vix>=17")),
        (RegimeInputs(vix=25, vix_change=0.3999), ("elevated:vix>=22", "moderate:vix>=17")),
        (RegimeInputs(vix=24.99, vix_change=0.9), ("elevated:vix>=22", "moderate:vix>=17")),
        (RegimeInputs(vix=29.99), ("elevated:vix>=22", "moderate:vix>=17")),
        (RegimeInputs(vix=30), ("high:vix>=30", "elevated:vix>=22", "moderate:vix>=17")),
        (
            RegimeInputs(vix=37.32, vix_change=1.156, ratio=1.33),
            (
                "high:vix>=30",
                "high:vix>=20&ratio>=1.1",
                "high:vix>=25&change>=0.4",
                "elevated:vix>=22",
                "elevated:vix>=18&ratio>=1",
                "moderate:vix>=17",
            ),
        ),
        (RegimeInputs(ratio=1.5, vix_change=2.0), ()),
    ],
)
def test_floors(inputs: RegimeInputs, names: tuple[str, ...]) -> None:
    hits = floors_hit(RULES.floors, inputs)
    assert tuple(hit.name for hit in hits) == names
    levels = {"low": 0, "moderate": 1, "elevated": 2, "high": 3}
    assert floor_level(hits) == (levels[names[0].split(":")[0]] if names else 0)


def test_a_change_of_forty_percent_as_published_is_forty_percent() -> None:
    assert 35 / 25 - 1 < 0.4  # in the last bit
    hits = floors_hit(RULES.floors, RegimeInputs(vix=35, vix_change=35 / 25 - 1))
    assert "high:vix>=25&change>=0.4" in [hit.name for hit in hits]


def test_floors_come_from_the_calibration() -> None:
    hits = floors_hit(Floors(high_vix=28.5), RegimeInputs(vix=28.5))
    assert hits[0].name == "high:vix>=28.5"


@pytest.mark.parametrize(
    ("inputs", "level"),
    [
        (RegimeInputs(vix=13), None),
        (RegimeInputs(vix=12.99), 0),
        (RegimeInputs(vix=12.99, ratio=0.949), 0),
        (RegimeInputs(vix=12.99, ratio=0.95), 1),
        (RegimeInputs(vix=9.1, ratio=1.3), 1),
        (RegimeInputs(), None),
    ],
)
def test_cap(inputs: RegimeInputs, level: int | None) -> None:
    assert cap_level(RULES, inputs) == level


@pytest.mark.parametrize("name", ["vix", "vix_change", "ratio", "rv21", "vvix"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_inputs_refuse_what_is_no_number(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        RegimeInputs(**{name: value})
