"""Memory over a walk of 1,000,000 records, with dense ids and with sparse ones: `python -m benchmarks.million`.

It is not part of `make bench`, since it takes minutes.
"""

from __future__ import annotations

import sys

from benchmarks.server import serving
from benchmarks.walking import run

PAGES = 5_000
DENSE_MB, SPARSE_MB = 4, 40
"""How much memory may grow after the first 10,000 records."""


def main() -> None:
    missed = False
    for name, gap, most in (("dense", 1, DENSE_MB), ("sparse", 9_973, SPARSE_MB)):
        with serving(PAGES, gap=gap) as url:
            costs = run("kantata", url, PAGES, "--no-include", "--concurrency", "4", "--points", "10000")
        memory = dict(costs["memory"])
        grown = memory[200 * PAGES] - memory[10_000]
        missed |= grown > most
        print(
            f"{name} ids: {memory[10_000]:.1f} MB after 10,000 records, {memory[200 * PAGES]:.1f} MB after "
            f"{200 * PAGES:,}: {grown:.1f} MB more (at most {most}), {costs['seconds']:.0f} s",
            flush=True,
        )
    if missed:
        sys.exit(1)


if __name__ == "__main__":
    main()
