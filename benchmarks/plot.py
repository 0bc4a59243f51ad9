"""A small line chart as SVG, without a plotting library."""

from __future__ import annotations

from math import ceil, log10
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_WIDTH, _HEIGHT = 720, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 20, 64, 40
_COLORS = ("#0b6bcb", "#b3541e", "#3d8b40", "#7a4fa3")


def plot(
    path: Path,
    title: str,
    series: Mapping[str, Sequence[tuple[float, float]]],
    *,
    across: str = "records seen",
) -> None:
    """Draw each series of (x, y) points; both axes begin at 0."""
    most_x = max(x for points in series.values() for x, _ in points)
    most_y = _round(max(y for points in series.values() for _, y in points) * 1.15)

    def at(x: float, y: float) -> tuple[float, float]:
        right = _LEFT + x / most_x * (_WIDTH - _LEFT - _RIGHT)
        down = _HEIGHT - _BOTTOM - y / most_y * (_HEIGHT - _TOP - _BOTTOM)
        return round(right, 1), round(down, 1)

    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
            f'viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="12" fill="#444">'
        ),
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="20" font-size="14" fill="#111">{title}</text>',
    ]
    for step in range(6):
        value = most_y * step / 5
        left, down = at(0, value)
        right, _ = at(most_x, value)
        parts.append(f'<path d="M{left} {down}H{right}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 8}" y="{down + 4}" text-anchor="end">{value:,.0f}</text>')
        middle, bottom = at(most_x * step / 5, 0)
        parts.append(
            f'<text x="{middle}" y="{bottom + 18}" text-anchor="middle">{most_x * step / 5:,.0f}</text>'
        )
    for place, (name, points) in enumerate(series.items()):
        color = _COLORS[place % len(_COLORS)]
        line = " ".join("{},{}".format(*at(x, y)) for x, y in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>')
        begin = _LEFT + place * (_WIDTH - _LEFT - _RIGHT) // max(2, len(series))
        parts.append(f'<path d="M{begin} 42h18" stroke="{color}" stroke-width="2"/>')
        parts.append(f'<text x="{begin + 24}" y="46">{name}</text>')
    parts.append(f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 6}" text-anchor="end">{across}</text>')
    path.write_text("\n".join([*parts, "</svg>"]) + "\n", encoding="utf-8")


def _round(value: float) -> float:
    """The next number that five steps divide well."""
    unit = 10 ** int(log10(value)) / 2
    return ceil(value / unit) * unit
