"""Small plots as inline SVG. Deterministic; colours come from the page's CSS.

360 units wide, so that on a phone one unit is about a pixel and the text is as large as it says.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 360, 210
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 8, 8, 34
BINS = 150
_MOST_DECADES = 9  # below the largest value: what is smaller lies on the axis
_ROW = 16


@dataclass(frozen=True)
class Mark:
    """A value at ``x``, or many: from ``low`` to ``high`` with ``middle`` as their median."""

    x: float
    low: float
    middle: float
    high: float


def mark(x: float, value: float) -> Mark:
    """One value."""
    return Mark(x, value, value, value)


def binned(xs: Sequence[float], values: Sequence[float], bins: int = BINS) -> list[Mark]:
    """One mark per value, or per bin where there are more values than that."""
    if len(values) <= bins:
        return [mark(x, value) for x, value in zip(xs, values, strict=True)]
    low, high = min(xs), max(xs)
    width = (high - low) / bins or 1.0
    groups: dict[int, list[float]] = {}
    for x, value in zip(xs, values, strict=True):
        groups.setdefault(min(bins - 1, int((x - low) / width)), []).append(value)
    marks = []
    for number, group in sorted(groups.items()):
        group.sort()
        x = low + (number + 0.5) * width
        marks.append(Mark(x, group[0], group[len(group) // 2], group[-1]))
    return marks


@dataclass(frozen=True)
class _Axis:
    """Where values lie, 0 at the bottom and 1 at the top, and its ticks with their words."""

    share: Callable[[float], float]
    ticks: tuple[tuple[float, str], ...]


def plot(
    marks: Sequence[Mark], *, title: str, x_label: str, y_label: str, joined: bool = False
) -> str:
    """Marks over a logarithmic axis, with zeros on its lower end; a line over one from zero if
    they are ``joined``.
    """
    values = [value for item in marks for value in (item.low, item.high)]
    if not any(value > 0 for value in values):
        return f'<p class="none">{escape(y_label)}: zero everywhere</p>'
    axis = _linear_axis(max(values)) if joined else _log_axis(values)
    xs = [item.x for item in marks]
    left, right = min(xs), max(xs)

    def x_of(x: float) -> float:
        inner = WIDTH - _LEFT - _RIGHT
        return _LEFT + (inner * (x - left) / (right - left) if right > left else inner / 2)

    def y_of(value: float) -> float:
        share = min(1.0, max(0.0, axis.share(value)))
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * share

    parts = [_y_tick(y_of(value), words) for value, words in axis.ticks]
    parts += [_x_tick(x_of(x), x) for x in _x_ticks(left, right)]
    if joined:
        points = " ".join(f"{_n(x_of(item.x))},{_n(y_of(item.middle))}" for item in marks)
        parts.append(f'<polyline class="line" points="{points}"/>')
    for item in marks:
        x = _n(x_of(item.x))
        if item.low != item.high:
            span = f'y1="{_n(y_of(item.low))}" y2="{_n(y_of(item.high))}"'
            parts.append(f'<line class="span" x1="{x}" x2="{x}" {span}/>')
        parts.append(f'<circle class="dot" cx="{x}" cy="{_n(y_of(item.middle))}" r="2"/>')
    parts.append(_text((WIDTH + _LEFT) / 2, HEIGHT - 3, x_label, "middle"))
    parts.append(_text(_LEFT, _TOP + 2, y_label, "start", "label"))
    return _figure(HEIGHT, title, parts)


def _log_axis(values: Sequence[float]) -> _Axis:
    scale = _scale(values)
    assert scale is not None
    bottom, top = scale

    def share(value: float) -> float:
        return (math.log10(value) - bottom) / (top - bottom) if value > 0 else 0.0

    return _Axis(share, tuple((10.0**d, _power(d)) for d in _decades(bottom, top)))


def _linear_axis(highest: float) -> _Axis:
    step = 10 ** math.floor(math.log10(highest))
    step = next(s for s in (step / 5, step / 2, step, 2 * step) if highest / s <= 5)
    top = math.ceil(highest / step)
    return _Axis(
        lambda value: value / (top * step),
        tuple((number * step, f"{number * step:.3g}") for number in range(top + 1)),
    )


def strips(rows: Sequence[tuple[str, int, int | None]], *, title: str, longest: int) -> str:
    """A strip per text: its name, its tokens, and the token from which the two sides part."""
    scale = (WIDTH - _LEFT - _RIGHT) / max(1, longest)
    parts = []
    for number, (name, tokens, parted) in enumerate(rows):
        y = _TOP + number * _ROW
        same = tokens if parted is None else parted
        parts.append(_text(_LEFT - 6, y + 9, name, "end"))
        parts.append(_box("same", _LEFT, y, same * scale))
        if parted is not None:
            parts.append(_box("apart", _LEFT + same * scale, y, (tokens - same) * scale))
    height = _TOP + len(rows) * _ROW + _BOTTOM
    base = height - _BOTTOM
    parts += [_x_tick(_LEFT + x * scale, x, base) for x in _x_ticks(0, longest)]
    parts.append(_text((WIDTH + _LEFT) / 2, height - 3, "tokens", "middle"))
    return _figure(height, title, parts)


def bars(rows: Sequence[tuple[str, float]], *, title: str) -> str:
    """A bar per row on a logarithmic axis, under its name and value."""
    scale = _scale([value for _name, value in rows])
    parts = []
    for number, (name, value) in enumerate(rows):
        y = _TOP + number * 2 * _ROW
        parts.append(_text(0, y + 9, name, "start"))
        parts.append(_text(WIDTH - _RIGHT, y + 9, f"{value:.3g}", "end"))
        if scale is not None and value > 0:
            share = (math.log10(value) - scale[0]) / (scale[1] - scale[0])
            parts.append(_box("same", 0, y + 13, (WIDTH - _RIGHT) * max(0.01, share)))
    return _figure(_TOP + len(rows) * 2 * _ROW + 4, title, parts)


def intervals(rows: Sequence[tuple[str, float, float]], *, title: str) -> str:
    """A row per value with its error, on one linear axis that need not begin at zero."""
    low = min(value - error for _name, value, error in rows)
    high = max(value + error for _name, value, error in rows)
    reach = (high - low) or 1.0

    def x_of(value: float) -> str:
        return _n(6 + (WIDTH - _RIGHT - 12) * (value - low) / reach)

    parts = []
    for number, (name, value, error) in enumerate(rows):
        y = _TOP + number * 2 * _ROW
        line = y + 19
        told = f"{value:.4g}" + (f" ± {error:.2g}" if error else "")
        parts.append(_text(0, y + 9, name, "start"))
        parts.append(_text(WIDTH - _RIGHT, y + 9, told, "end"))
        ends = f'x1="{x_of(value - error)}" x2="{x_of(value + error)}" y1="{line}" y2="{line}"'
        parts.append(f'<line class="span" {ends}/>')
        parts.append(f'<circle class="dot" cx="{x_of(value)}" cy="{line}" r="3"/>')
    return _figure(_TOP + len(rows) * 2 * _ROW + 4, title, parts)


def _scale(values: Sequence[float]) -> tuple[int, int] | None:
    """The decades that hold the positive values, as exponents of ten."""
    positive = [value for value in values if value > 0]
    if not positive:
        return None
    top = math.ceil(math.log10(max(positive)))
    bottom = max(math.floor(math.log10(min(positive))), top - _MOST_DECADES)
    return (bottom, top) if bottom < top else (bottom - 1, top)


def _decades(bottom: int, top: int) -> range:
    return range(bottom, top + 1, 1 + (top - bottom) // 5)


def _x_ticks(left: float, right: float) -> list[float]:
    """At most six round numbers."""
    reach = max(1.0, right - left)
    step = 10 ** math.floor(math.log10(reach))
    step = next((s for s in (step / 5, step / 2, step) if reach / s <= 5), step)
    step = max(1, round(step))
    first = math.ceil(left / step) * step
    return list(range(first, math.floor(right) + 1, step))


def _y_tick(y: float, words: str) -> str:
    grid = f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{_n(y)}" y2="{_n(y)}"/>'
    return grid + _text(_LEFT - 6, y + 4, words, "end")


def _x_tick(x: float, value: float, y: float = HEIGHT - _BOTTOM) -> str:
    line = f'<line class="axis" x1="{_n(x)}" x2="{_n(x)}" y1="{_n(y)}" y2="{_n(y + 4)}"/>'
    return line + _text(x, y + 16, f"{value:g}", "middle")


def _power(decade: int) -> str:
    return f"{10.0**decade:g}" if -3 <= decade <= 3 else f"1e{decade}"


def _box(kind: str, x: float, y: float, width: float) -> str:
    return (
        f'<rect class="{kind}" x="{_n(x)}" y="{_n(y)}" width="{_n(max(0.0, width))}" height="11"/>'
    )


def _text(x: float, y: float, words: str, anchor: str, kind: str = "") -> str:
    style = f' class="{kind}"' if kind else ""
    return f'<text{style} x="{_n(x)}" y="{_n(y)}" text-anchor="{anchor}">{escape(words)}</text>'


def _figure(height: float, title: str, parts: Sequence[str]) -> str:
    label = escape(title, quote=True)
    head = f'<svg viewBox="0 0 {WIDTH} {_n(height)}" role="img" aria-label="{label}">'
    return head + "".join(parts) + "</svg>"


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
