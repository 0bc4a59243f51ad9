"""Draw how the adaptive throttle finds a limit, by simulation: `python -m benchmarks.throttle [FILE]`."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from tests.http.simulation import Bucket, Windows, simulate

SECONDS, RISE, FACTOR = 120.0, 60.0, 5.0
LIMITS = {
    "token bucket, 20 a second": lambda: Bucket(20, 20),
    "window, 20 in each second": lambda: Windows(20, 1),
}
WIDTH, HEIGHT, LEFT, GAP = 760, 180, 60, 56


def draw() -> str:
    """The plot as SVG: requests a second in steps of a second, accepted and refused, and the limit."""
    parts: list[str] = []
    for index, (title, limit) in enumerate(LIMITS.items()):
        seen = simulate(limit(), tasks=64, seconds=SECONDS, changes={RISE: FACTOR})
        top = 34 + index * (HEIGHT + GAP)
        high = 20 * FACTOR * 1.4

        def point(second: float, rate: float, top: float = top, high: float = high) -> str:
            x = LEFT + second * (WIDTH - LEFT - 10) / SECONDS
            return f"{x:.1f},{top + HEIGHT * (1 - min(rate, high) / high):.1f}"

        def line(times: list[float], point=point) -> str:
            counts = [sum(second <= time < second + 1 for time in times) for second in range(int(SECONDS))]
            return " ".join(point(second + 0.5, count) for second, count in enumerate(counts))

        limits = f"{point(0, 20)} {point(RISE, 20)} {point(RISE, 100)} {point(SECONDS, 100)}"
        parts += [
            f'<text x="{LEFT}" y="{top - 10}" class="title">{title}, five times as many after a minute</text>',
            *(
                f'<polyline class="grid" points="{point(0, rate)} {point(SECONDS, rate)}"/>'
                f'<text x="{LEFT - 8}" y="{float(point(0, rate).split(",")[1]) + 4:.1f}" class="end">{rate}</text>'
                for rate in (0, 20, 100)
            ),
            *(
                f'<text x="{point(second, 0).split(",")[0]}" y="{top + HEIGHT + 16}" class="middle">{second} s</text>'
                for second in range(0, 121, 20)
            ),
            f'<polyline class="limit" points="{limits}"/>',
            f'<polyline class="accepted" points="{line(seen.accepted)}"/>',
            f'<polyline class="refused" points="{line(seen.refused)}"/>',
        ]
    height = 34 + len(LIMITS) * (HEIGHT + GAP)
    legend = (
        f'<text x="{LEFT}" y="{height - 8}"><tspan fill="#1f77b4">accepted</tspan> and '
        '<tspan fill="#d62728">refused</tspan> requests a second, <tspan fill="#777">limit (dashed)</tspan></text>'
    )
    style = (
        "text{font:12px sans-serif;fill:#333}.title{font-weight:bold}.end{text-anchor:end}.middle{text-anchor:middle}"
        "polyline{fill:none}.grid{stroke:#ddd}.limit{stroke:#777;stroke-dasharray:5 4}"
        ".accepted{stroke:#1f77b4;stroke-width:1.6}.refused{stroke:#d62728;stroke-width:1.2}"
    )
    body = "\n".join([*parts, legend])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">\n'
        f'<style>{style}</style>\n<rect width="100%" height="100%" fill="white"/>\n{body}\n</svg>\n'
    )


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/throttle.svg")
    target.write_text(draw(), encoding="utf-8")
    print(f"Wrote {target}.")
