"""The page `docs/coverage.md`: what the sandbox emulates, operation by operation."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from emulation.probe import ASPECTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from emulation.probe import Finding, Row

INTRODUCTION = """\
# What the sandbox emulates

`make coverage` wrote this page: it asks a [sandbox](sandbox.md) with the demo account for every operation, parameter,
order, include, optional field and property of a body that the contract declares, each by a request. A test keeps the page
true. The numbers say how much of it the sandbox emulates; the rest is answered with 501.

- A parameter counts if each value that the contract lists for it is accepted.
- A property counts if sending it makes a difference to what can be read afterwards. Properties in *italics* are accepted
  without a trace that the API shows, such as whether an e-mail is sent.
"""


def totals(rows: Iterable[Row]) -> dict[str, Counter[str]]:
    """Aspect (and `operations`) → level → how many."""
    found: dict[str, Counter[str]] = {aspect: Counter() for aspect in ("operations", *ASPECTS)}
    for row in rows:
        found["operations"][row.finding.level] += 1
        for aspect, findings in row.aspects.items():
            found[aspect].update(finding.level for finding in findings.values())
    return found


def render(rows: Sequence[Row]) -> str:
    """The page, in Markdown."""
    lines = [
        INTRODUCTION,
        "## Totals",
        "",
        "| | declared | emulated | 501 | no trace |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for aspect, levels in totals(rows).items():
        numbers = (levels.total(), levels["yes"], levels["501"], levels["no effect"])
        lines.append(f"| {aspect} | {' | '.join(f'{number:,}' for number in numbers)} |")
    head = " | ".join(("operation", *ASPECTS))
    lines += ["", "## Operations", "", f"| {head} |", f"| --- {'| --- ' * len(ASPECTS)}|"]
    lines += map(line, rows)
    return "\n".join(lines) + "\n"


def line(row: Row) -> str:
    """The line of an operation."""
    if row.finding.level != "yes":
        return f"| `{row.operation}`: **{row.finding.level}** {'| ' * len(ASPECTS)}|"
    cells = [_cell(row.aspects.get(aspect, {})) for aspect in ASPECTS]
    return f"| `{row.operation}` | {' | '.join(cells)} |"


def _cell(findings: Mapping[str, Finding]) -> str:
    """Such as `7`, or `6 of 7: 501 for `lock_date``."""
    if not findings:
        return ""
    good = sum(finding.level == "yes" for finding in findings.values())
    if good == len(findings):
        return str(good)
    missing = [f"`{name}`" for name, finding in findings.items() if finding.level == "501"]
    silent = [f"*{name}*" for name, finding in findings.items() if finding.level == "no effect"]
    unclear = [f"`{name}`?" for name, finding in findings.items() if finding.level == "unclear"]
    said = [f"501: {', '.join(missing)}"] if missing else []
    return f"{good} of {len(findings)}; {'; '.join([*said, *silent, *unclear])}"
