"""Writes an HTML report about the syncs into a DuckDB file. The page loads nothing from the network."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from html import escape
from typing import TYPE_CHECKING, Any

import attrs

from kantata_client.sync.catalog import lists
from kantata_client.sync.job import past_runs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from kantata_client.sync.job import Summary

_DAYS = 30
_RUNS = 40

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2733; --dim: #6b7785; --line: #d9dfe5; --bar: #3a7ca5; --bad: #b3372f;
  --ground: #fff; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e3e8ee; --dim: #93a0ad; --line: #37424d; --bar: #63a6cf; --bad: #ee8079; --ground: #161c22; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--ground); margin: 2rem auto;
  max-width: 68rem; padding: 0 1.5rem; }
h1 { font-size: 1.5rem; margin: 0; overflow-wrap: anywhere; } h2 { font-size: 1.1rem; margin: 2.2rem 0 .6rem; }
p, .dim { color: var(--dim); margin: .2rem 0; }
.numbers { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; margin: 1.4rem 0; }
.numbers b { display: block; font-size: 1.6rem; font-weight: 600; } .numbers span { color: var(--dim); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; color: var(--dim); font-size: .85rem; }
th, td { padding: .3rem .7rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: middle; }
.wide { overflow-x: auto; } .wide th, .wide td { white-space: nowrap; } pre { overflow-x: auto; }
.n { text-align: right; } .bad { color: var(--bad); } tr.bad td:first-child { font-weight: 600; }
svg { display: block; } rect { fill: var(--bar); } rect.bad { fill: var(--bad); }
"""


@attrs.frozen
class Table:
    """What the warehouse has of one list."""

    name: str
    rows: int
    latest: datetime | date | None
    days: dict[date, int]
    """Number of records by the day of their last update."""


def report_path(file: Path) -> Path:
    """Return the path of the report of a DuckDB file."""
    return file.with_name(f"{file.stem}.report.html")


def write(summary: Summary, file: Path) -> Path:
    """Write the report about the last sync into a DuckDB file and those before it, and return its path."""
    path = report_path(file)
    path.write_text(render(summary, read_tables(file), past_runs(file)), encoding="utf-8")
    return path


def read_tables(file: Path) -> list[Table]:
    """Read what the file has of each list, largest first."""
    import duckdb

    found: list[Table] = []
    with duckdb.connect(str(file)) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        query = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'main'"
        present = {row[0] for row in connection.execute(query).fetchall()}
        for each in lists().values():
            if each.name not in present:
                continue
            count = connection.execute(f'SELECT count(*) FROM main."{each.name}"').fetchall()[0][0]  # noqa: S608
            latest, days = None, dict[date, int]()
            by = each.sorted_by
            if by is not None:
                sql = f'SELECT max("{by}") FROM main."{each.name}"'  # noqa: S608 - names of the contract
                latest = connection.execute(sql).fetchall()[0][0]
                sql = (
                    f'SELECT CAST("{by}" AS DATE), count(*) FROM main."{each.name}" '  # noqa: S608 - names of the contract
                    f'WHERE "{by}" IS NOT NULL GROUP BY 1 ORDER BY 1 DESC LIMIT {_DAYS * 2}'
                )
                days = dict(connection.execute(sql).fetchall())
            found.append(Table(each.name, count, latest, days))
    return sorted(found, key=lambda each: (-each.rows, each.name))


def _date(latest: date) -> date:
    """Return the day of a list's newest record; some lists have dates instead of times."""
    return latest.astimezone(UTC).date() if isinstance(latest, datetime) else latest


def render(summary: Summary, stored: Sequence[Table], runs: Sequence[dict[str, Any]]) -> str:
    """Return the report as HTML."""
    by_name = {each.name: each for each in summary.lists}
    total = sum(each.rows for each in stored)
    numbers = [
        (f"{total:,}", "records in the warehouse"),
        (f"{summary.rows:,}", "stored by the last sync"),
        (f"{summary.deleted:,}", "deleted by it"),
        (f"{summary.seconds:,.1f} s", "duration"),
        (f"{summary.requests:,}", "requests"),
        (f"{summary.limited:,}", "answered 429"),
    ]
    end = max((_date(each.latest) for each in stored if each.latest), default=summary.started.date())
    head = "<th>list</th><th class=n>records</th><th class=n>stored</th><th class=n>deleted</th><th class=n>seconds</th>"
    head += (
        f"<th class=n>429</th><th>updated last</th><th>updates by day, {_DAYS} days to {end:%d %b %Y}</th>"
    )
    rows = "".join(
        _list_row(each, by_name.get(each.name), end) for each in stored if each.rows or each.name in by_name
    )
    problems = "".join(
        f"<tr class=bad><td>{escape(each.name)}</td><td>{escape(each.error or '')}</td></tr>"
        for each in summary.lists
        if each.status == "failed"
    )
    problems += "".join(
        f"<tr><td>{escape(each.name)}</td><td>{escape(note)}</td></tr>"
        for each in summary.lists
        for note in each.notes
    )
    figures = "".join(f"<div><b>{value}</b><span>{name}</span></div>" for value, name in numbers)
    state = {
        "done": "All lists were synced.",
        "some failed": "Some lists failed.",
        "all failed": "All lists failed.",
        "stopped": "The sync was stopped; the next one continues.",
    }[summary.status]
    return "\n".join(
        [
            "<!doctype html><html lang=en><meta charset=utf-8>",
            "<meta name=viewport content='width=device-width'>",
            f"<title>Kantata sync: {escape(summary.plan.to)}</title><style>{_STYLE}</style>",
            f"<h1>Kantata → {escape(summary.plan.to)}</h1>",
            f"<p>{state} Last sync: {summary.started.astimezone(UTC):%d %b %Y, %H:%M} UTC.</p>",
            f"<div class=numbers>{figures}</div>",
            f"<h2>Problems</h2><table>{problems}</table>" if problems else "",
            f"<h2>Syncs</h2>{_runs_chart(runs)}",
            f"<h2>Lists</h2><div class=wide><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>",
            f"<h2>Drift</h2><pre>{escape(summary.drift)}</pre>" if summary.drift else "",
            "</html>",
        ]
    )


def _list_row(stored: Table, run: Any, end: date) -> str:
    if isinstance(stored.latest, datetime):
        latest = f"{stored.latest.astimezone(UTC):%Y-%m-%d %H:%M}"
    else:
        latest = str(stored.latest or "")
    cells = [f"<td>{escape(stored.name)}</td>", f"<td class=n>{stored.rows:,}</td>"]
    for value in (run.rows, run.deleted, run.elapsed, run.limited) if run is not None else ("",) * 4:
        text = f"{value:,.1f}" if isinstance(value, float) else f"{value:,}" if value else ""
        cells.append(f"<td class=n>{text}</td>")
    bad = " class=bad" if run is not None and run.status == "failed" else ""
    return f"<tr{bad}>{''.join(cells)}<td>{latest}</td><td>{_days_chart(stored.days, end)}</td></tr>"


def _days_chart(days: dict[date, int], end: date) -> str:
    counts = [
        (day, days.get(day, 0)) for day in (end - timedelta(days=ago) for ago in range(_DAYS - 1, -1, -1))
    ]
    titles = [f"{day:%d %b}: {count:,}" for day, count in counts]
    return (
        _bar_chart([count for _, count in counts], titles, width=8, height=24) if any(days.values()) else ""
    )


def _runs_chart(runs: Sequence[dict[str, Any]]) -> str:
    recent = list(runs)[-_RUNS:]
    titles = [
        f"{run['started'][:16].replace('T', ' ')}: {run['rows']:,} stored, {run['deleted']:,} deleted, "
        f"{run['seconds']:.0f} s, {run['limited']:,} answers 429, {run['status']}"
        for run in recent
    ]
    bars = _bar_chart(
        [run["seconds"] for run in recent],
        titles,
        width=16,
        height=60,
        bad=[run["status"] in ("some failed", "all failed") for run in recent],
    )
    longest = max((run["seconds"] for run in recent), default=0)
    return f"<div class=wide>{bars}</div><p>Duration of the last {len(recent)} syncs; the longest took {longest:,.1f} s.</p>"


def _bar_chart(
    values: Sequence[float],
    titles: Sequence[str],
    *,
    width: int,
    height: int,
    bad: Sequence[bool] | None = None,
) -> str:
    most = max(values, default=0) or 1
    parts: list[str] = []
    for index, (value, title) in enumerate(zip(values, titles, strict=True)):
        tall = max(1.0, height * value / most) if value else 0.0
        kind = " class=bad" if bad and bad[index] else ""
        parts.append(
            f"<rect{kind} x={index * width} y={height - tall:.1f} width={width - 2} height={tall:.1f}>"
            f"<title>{escape(title)}</title></rect>"
        )
    return f"<svg width={len(values) * width} height={height} role=img>{''.join(parts)}</svg>"
