"""The HTML report of a sync in a real browser: it loads nothing, and fits windows of any width."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from kantata_client.sync.job import Plan, Summary
from kantata_client.sync.progress import ListProgress
from kantata_client.sync.report import Table, render
from tests.browser.driver import Browser

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.browser

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)


def report() -> str:
    """A report with a failed list, drift and 40 syncs."""
    lists = (
        ListProgress("time_entries", "done", 20_000, 12, 105),
        ListProgress("users", "failed", error="GET /users failed with 403: " + "not allowed " * 20),
    )
    summary = Summary(
        Plan(f"/{'long-folder-name/' * 8}account.duckdb"),
        "some failed",
        NOW,
        61.5,
        lists,
        "field".ljust(200) + "seen",
    )
    days = {date(2026, 3, 2) - timedelta(days=ago): 100 + ago for ago in range(30)}
    stored = [Table("time_entries", 20_000, NOW, days), Table("users", 60, None, {})]
    return render(summary, stored, [summary.to_dict()] * 40)


def test_report_loads_nothing_and_fits_each_window(tmp_path: Path) -> None:
    page = tmp_path / "account.report.html"
    page.write_text(report(), encoding="utf-8")
    with Browser(tmp_path) as browser:
        browser.open(page.as_uri())
        assert "Some lists failed." in browser.text
        assert browser.script("return performance.getEntriesByType('resource').length") == 0
        for width in (320, 760, 1400):
            browser.resize(width, 900)
            used, seen = browser.script(
                "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
            )
            assert used <= seen, width
        for scheme, ground in (("light", "rgb(255, 255, 255)"), ("dark", "rgb(22, 28, 34)")):
            browser.prefer(scheme)
            color = browser.script("return getComputedStyle(document.body).backgroundColor")
            assert color == ground
