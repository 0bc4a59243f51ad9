"""Probe the sandbox and write the page: `python -m emulation`."""

from __future__ import annotations

import sys
from pathlib import Path

from emulation.page import render, totals
from emulation.probe import Probe
from kantata_client.operations import OPERATIONS

PAGE = Path(__file__).parents[1] / "docs" / "coverage.md"


def main() -> int:
    """Write the page; 1 if something could not be probed."""
    probe = Probe()
    rows = [probe.row(operation) for operation in OPERATIONS.values()]
    PAGE.write_text(render(rows), encoding="utf-8")
    unclear = [
        f"{row.operation}, {name}: {finding.why}"
        for row in rows
        for name, finding in (
            (row.operation, row.finding),
            *(each for findings in row.aspects.values() for each in findings.items()),
        )
        if finding.level == "unclear"
    ]
    for line in unclear:
        print(f"No request was found that carries this out. {line}", file=sys.stderr)
    for aspect, levels in totals(rows).items():
        print(f"{aspect}: {levels['yes']} of {levels.total()}")
    return 1 if unclear else 0


if __name__ == "__main__":
    sys.exit(main())
