"""From numbers to the geometry of a chart; the drawing is a template's."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 720, 220
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 16, 28
LABELS = 6


@dataclass(frozen=True)
class Tick:
    """A line across the chart, or a word below it."""

    at: float
    text: str


@dataclass(frozen=True)
class Point:
    """One value, where it stands and what it is called."""

    x: float
    y: float
    title: str


@dataclass(frozen=True)
class LineChart:
    """A line over equal steps, with round ticks from zero."""

    line: str
    area: str
    points: Sequence[Point]
    ticks: Sequence[Tick]
    labels: Sequence[Tick]
    peak: Point | None
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    bottom: int = HEIGHT - BOTTOM


def round_steps(largest: float, most: int = 4) -> Sequence[float]:
    """Ticks from zero to at least `largest`, at 1, 2 or 5 times a power of ten."""
    if largest <= 0:
        return [0.0, 1.0]
    rough = largest / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    return [step * number for number in range(math.ceil(largest / step - 1e-9) + 1)]


def line_chart(values: Sequence[tuple[str, float]], written: Callable[[float], str]) -> LineChart:
    """A chart of named values in their order; below zero is drawn as zero and told as it is."""
    steps = round_steps(max((value for _, value in values), default=0))
    height, width = HEIGHT - TOP - BOTTOM, WIDTH - LEFT - RIGHT

    def y(value: float) -> float:
        return round(TOP + height * (1 - max(0.0, value) / steps[-1]), 1)

    apart = width / max(1, len(values) - 1)
    points = [
        Point(round(LEFT + apart * number, 1), y(value), f"{name}: {written(value)}")
        for number, (name, value) in enumerate(values)
    ]
    line = " ".join(f"{one.x},{one.y}" for one in points)
    ground = HEIGHT - BOTTOM
    area = f"{points[0].x},{ground} {line} {points[-1].x},{ground}" if points else ""
    every = max(1, math.ceil(len(values) / LABELS))
    labels = [
        Tick(points[number].x, name)
        for number, (name, _) in enumerate(values)
        if number % every == 0
    ]
    peak = min(points, key=lambda one: one.y, default=None)
    return LineChart(
        line=line,
        area=area,
        points=points,
        ticks=[Tick(y(step), written(step)) for step in steps],
        labels=labels,
        peak=peak if peak is not None and peak.y < ground else None,
    )


@dataclass(frozen=True)
class Column:
    """One value as a rectangle from the ground up."""

    x: float
    y: float
    width: float
    height: float
    title: str


@dataclass(frozen=True)
class ColumnChart:
    """Columns side by side, with round ticks from zero."""

    columns: Sequence[Column]
    ticks: Sequence[Tick]
    labels: Sequence[Tick]
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    bottom: int = HEIGHT - BOTTOM


def column_chart(
    values: Sequence[tuple[str, float]], written: Callable[[float], str]
) -> ColumnChart:
    """A chart of named values that do not flow into each other, such as hours."""
    steps = round_steps(max((value for _, value in values), default=0))
    ground = HEIGHT - BOTTOM
    apart = (WIDTH - LEFT - RIGHT) / max(1, len(values))
    columns = []
    for number, (name, value) in enumerate(values):
        tall = round((ground - TOP) * max(0.0, value) / steps[-1], 1)
        x = round(LEFT + apart * (number + 0.15), 1)
        title = f"{name}: {written(value)}"
        columns.append(Column(x, round(ground - tall, 1), round(apart * 0.7, 1), tall, title))
    every = max(1, math.ceil(len(values) / LABELS))
    return ColumnChart(
        columns=columns,
        ticks=[Tick(one, written(step)) for one, step in _rises(steps)],
        labels=[
            Tick(round(one.x + one.width / 2, 1), values[number][0])
            for number, one in enumerate(columns)
            if number % every == 0
        ],
    )


def _rises(steps: Sequence[float]) -> Sequence[tuple[float, float]]:
    tall = HEIGHT - TOP - BOTTOM
    return [(round(TOP + tall * (1 - step / steps[-1]), 1), step) for step in steps]


@dataclass(frozen=True)
class Bar:
    """A bar of a list, its length in per cent of the longest."""

    name: str
    value: float
    length: float


def bar_list(values: Sequence[tuple[str, float]]) -> Sequence[Bar]:
    """Bars from zero, each as long as its share of the longest."""
    largest = max((value for _, value in values), default=0)
    return [
        Bar(name, value, round(100 * max(0.0, value) / largest, 1) if largest > 0 else 0.0)
        for name, value in values
    ]
