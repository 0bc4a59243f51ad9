"""What a new process pays before its first page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.measure import Line, by_turns, in_new_process
from benchmarks.server import serving

if TYPE_CHECKING:
    from benchmarks.measure import Report


def lines(rounds: int, report: Report | None = None) -> list[Line]:
    """Import and first page, each in new processes, in turns with the same done by httpx."""
    with serving(pages=1) as url:
        for what in ("first_page", "first_page_by_httpx"):
            in_new_process("client", what, url)  # compiles modules that have no bytecode yet
        ways = {
            "import httpx": ("bare_import",),
            "first client": ("first_client",),
            "first page": ("first_page", url),
            "first page by httpx": ("first_page_by_httpx", url),
        }
        measured = by_turns(
            rounds,
            {name: lambda way=way: in_new_process("client", *way) for name, way in ways.items()},
            report,
        )

    def line(name: str, what: str, reference: str, target: float) -> Line:
        ratio = measured.ratio(what, reference)
        return Line(name, measured.value(what) * 1000, "ms", reference, ratio, target)

    return [
        line("import + first client", "first client", "import httpx", 1.2),
        line("first typed page of a process", "first page", "first page by httpx", 1.6),
    ]
