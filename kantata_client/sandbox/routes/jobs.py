"""Scheduled exports of Insights reports: jobs that answer with plain objects instead of envelopes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kantata_client.sandbox import mutations

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kantata_client.sandbox.call import Call


_JOBS = "insights_report_exports"


_REPORTS = (
    ("3b9d1c5e7f20", "Project Margin by Month"),
    ("8a41e6d20c93", "Time Entry Detail"),
    ("c07f52b8e1d4", "Utilization by Role"),
)
"""Identifier and title of the classic Insights reports of every account."""


def list_reports(call: Call) -> list[dict[str, Any]]:
    """List the classic Insights reports; `title` finds those with similar titles."""
    words = (call.parameter("title") or "").casefold().split()
    times = dict.fromkeys(("created_at", "updated_at"), "2024-01-15T09:00:00Z")
    return [
        {"identifier": identifier, "title": title, **times}
        for identifier, title in _REPORTS
        if all(word in title.casefold() for word in words)
    ]


def _job(call: Call, record: Mapping[str, Any]) -> dict[str, Any]:
    shown = {field: value for field, value in record.items() if field != "updated_at"}
    return {"description": None, **shown, "id": int(record["id"]), "latest_success": None}


def list_jobs(call: Call) -> list[dict[str, Any]]:
    """List the scheduled exports."""
    return [_job(call, record) for record in call.scope.store.all(_JOBS)]


def get_job(call: Call) -> dict[str, Any]:
    """Get one scheduled export."""
    return _job(call, mutations.existing(call.scope, _JOBS, call.identity))


def create_job(call: Call) -> dict[str, Any]:
    """Schedule an export."""
    store = call.scope.store
    return _job(call, store.put(_JOBS, {"id": store.new_id(), "created_at": store.now(), **call.fields()}))


def update_job(call: Call) -> dict[str, Any] | None:
    """Update a scheduled export."""
    mutations.existing(call.scope, _JOBS, call.identity)
    record = call.scope.store.change(_JOBS, call.identity, **call.fields())
    return None if call.operation.result == "none" else _job(call, record)


def delete_job(call: Call) -> None:
    """Delete a scheduled export."""
    mutations.existing(call.scope, _JOBS, call.identity)
    call.scope.store.remove(_JOBS, call.identity)
