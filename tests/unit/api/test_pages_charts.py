"""Geometry of charts: from zero, on round ticks, and true where nothing is."""

import itertools

import pytest

from api.pages.charts import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    WIDTH,
    bar_list,
    column_chart,
    line_chart,
    round_steps,
)

GROUND = HEIGHT - BOTTOM


@pytest.mark.parametrize(
    ("largest", "steps"),
    [
        (0, [0, 1]),
        (-5, [0, 1]),
        (4, [0, 1, 2, 3, 4]),
        (7, [0, 2, 4, 6, 8]),
        (100, [0, 50, 100]),
        (101, [0, 50, 100, 150]),
        (123_456, [0, 50_000, 100_000, 150_000]),
    ],
)
def test_ticks_are_round_and_reach_the_largest(largest: float, steps: list[float]) -> None:
    assert round_steps(largest) == pytest.approx(steps)


@pytest.mark.parametrize("largest", [0.003, 1, 9.99, 10, 499, 5e9])
def test_ticks_are_few_and_begin_at_zero(largest: float) -> None:
    steps = round_steps(largest)
    assert steps[0] == 0
    assert 2 <= len(steps) <= 6
    assert steps[-1] >= largest * 0.999999


def test_a_line_stands_on_zero() -> None:
    chart = line_chart([("a", 0), ("b", 50), ("c", 100), ("d", -20)], "{:g}".format)
    heights = [point.y for point in chart.points]
    assert heights[0] == heights[3] == GROUND
    assert heights[1] == pytest.approx((GROUND + heights[2]) / 2, abs=0.1)
    assert chart.points[3].title == "d: -20"
    assert chart.peak == chart.points[2]
    assert chart.area.startswith(f"{chart.points[0].x},{GROUND} ")
    assert chart.area.endswith(f" {chart.points[3].x},{GROUND}")


@pytest.mark.parametrize("values", [[], [("a", 0.0)], [("a", 0.0), ("b", 0.0)]])
def test_nothing_has_no_peak(values: list[tuple[str, float]]) -> None:
    chart = line_chart(values, str)
    assert chart.peak is None
    assert len(chart.points) == len(values)


def test_labels_below_are_few() -> None:
    chart = line_chart([(str(day), 1.0) for day in range(365)], str)
    assert len(chart.labels) <= 6


def test_columns_stand_on_zero() -> None:
    chart = column_chart([("00", 100), ("01", 50), ("02", 0), ("03", -20)], "{:g}".format)
    tall, half, *none = chart.columns
    assert all(one.y + one.height == pytest.approx(GROUND, abs=0.1) for one in chart.columns)
    assert half.height == pytest.approx(tall.height / 2, abs=0.1)
    assert [one.height for one in none] == [0, 0]
    assert [one.title for one in chart.columns] == ["00: 100", "01: 50", "02: 0", "03: -20"]
    assert (chart.ticks[0].at, chart.ticks[0].text) == (GROUND, "0")
    assert tall.y == pytest.approx(chart.ticks[-1].at, abs=0.1)


@pytest.mark.parametrize("number", [1, 7, 24])
def test_columns_stand_apart_and_inside(number: int) -> None:
    chart = column_chart([(str(n), 1.0) for n in range(number)], str)
    columns = chart.columns
    assert columns[0].x >= LEFT
    assert columns[-1].x + columns[-1].width <= WIDTH - RIGHT
    for one, following in itertools.pairwise(columns):
        assert one.x + one.width < following.x
    assert len(chart.labels) <= 6
    assert chart.labels[0].at == pytest.approx(columns[0].x + columns[0].width / 2, abs=0.1)


@pytest.mark.parametrize("values", [[], [("a", 0.0), ("b", 0.0)]])
def test_columns_of_nothing_have_ticks_from_zero(values: list[tuple[str, float]]) -> None:
    chart = column_chart(values, "{:g}".format)
    assert [one.text for one in chart.ticks] == ["0", "1"]
    assert all(one.height == 0 for one in chart.columns)


def test_bars_are_shares_of_the_longest() -> None:
    bars = bar_list([("a", 200), ("b", 50), ("c", 0), ("d", -1)])
    assert [bar.length for bar in bars] == [100, 25, 0, 0]
    assert [bar.length for bar in bar_list([("a", 0)])] == [0]
    assert bar_list([]) == []
