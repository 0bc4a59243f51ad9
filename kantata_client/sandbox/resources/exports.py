"""Data exports and Insights reports."""

from __future__ import annotations

from kantata_client.sandbox.registry import Resource, declare
from kantata_client.sandbox.routes import exports, files, jobs

declare(
    Resource(
        key="exports",
        routes={
            "POST /exports": exports.create,
            "GET /exports/available_datasets": exports.datasets,
            "GET /exports/{id}": exports.get,
            "PUT /exports/{id}": exports.cancel,
            "GET /exports/{id}/download_url": exports.download_url,
        },
    )
)
declare(
    Resource(
        key="insights_report_exports",
        routes={
            "GET /insights_reports": jobs.list_reports,
            "GET /scheduled_jobs/insights_report_exports": jobs.list_jobs,
            "POST /scheduled_jobs/insights_report_exports": jobs.create_job,
            "GET /scheduled_jobs/insights_report_exports/{id}": jobs.get_job,
            "PUT /scheduled_jobs/insights_report_exports/{id}": jobs.update_job,
            "DELETE /scheduled_jobs/insights_report_exports/{id}": jobs.delete_job,
            "GET /scheduled_jobs/insights_report_exports/{insights_report_export_id}/results/latest": (
                files.latest_report
            ),
        },
    )
)
