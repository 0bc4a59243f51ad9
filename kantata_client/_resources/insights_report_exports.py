"""The hand-written methods of `kantata.insights_report_exports`: Insights reports into files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kantata_client._calls.values import NO_ZONE
from kantata_client._files.waiting import NOT_YET, Pauses, check_pauses
from kantata_client._resources.base import Resource
from kantata_client.errors import ExportError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from kantata_client._files.local import StrPath
    from kantata_client.hooks import Progress
    from kantata_client.models.insights_report_export_latest_result import InsightsReportExportLatestResult


class InsightsReportExportsMethods(Resource):
    """Hand-written methods of `kantata.insights_report_exports`."""

    __slots__ = ()

    async def download_latest(
        self,
        id: int | str,
        *,
        to: StrPath,
        newer_than: datetime | None = None,
        gunzip: bool = False,
        interval: float = 2.0,
        timeout: float = 1800.0,
        on_wait: Callable[[InsightsReportExportLatestResult | None], object] | None = None,
        progress: Progress | None = None,
    ) -> Path:
        """Download the latest report of a scheduled export, waiting for it if necessary.

        An export takes up to 20 minutes. The file is a `.gz` of up to 10 GB; it is never held in memory.

        Args:
            id: Id of the scheduled export.
            to: The file; an existing one is replaced once the download is complete.
            newer_than: Wait for a report created after this time, which must have a time zone.
            gunzip: Write the CSV itself instead of the `.gz`.
            interval: Seconds between the first two requests; the pauses grow to 15 seconds.
            timeout: Seconds to wait for a report.
            on_wait: Called before each pause with the response, or with `None` if no report exists yet.
            progress: Called with the bytes received, before decompression, and their total, or `None` if that is unknown.

        Returns:
            The file.

        Raises:
            UsageError: An argument is invalid; nothing was sent.
            ExportError: No report appeared in time.
            NotFoundError: The scheduled export does not exist.
            APIError: The service refused a request; see `kantata_client.errors`.

        Source: GET /scheduled_jobs/insights_report_exports/{insights_report_export_id}/results/latest
        """
        from kantata_client._files.downloads import Address, download
        from kantata_client._files.local import checked_target
        from kantata_client.operations.insights_report_exports import LATEST

        target = checked_target(to, "insights_report_exports.download_latest")
        check_pauses("insights_report_exports.download_latest", interval, timeout)
        if newer_than is not None and newer_than.utcoffset() is None:
            raise UsageError(f"insights_report_exports.download_latest: newer_than {NO_ZONE}.")
        pauses = Pauses(self._session, interval, timeout)
        exists = False

        async def locate() -> Address:
            nonlocal exists
            while True:
                found = await self._latest(id, exists=exists)
                exists = True
                latest = found.latest_success if found else None
                made = latest.created_at if latest else None
                if latest and latest.url and (newer_than is None or (made and made > newer_than)):
                    return Address(latest.url)
                if on_wait is not None:
                    on_wait(found)
                if not await pauses.next():
                    newer = f" newer than {newer_than}" if newer_than else ""
                    raise ExportError(
                        f"Scheduled export {id} has no report{newer} after {timeout:g} seconds. Wait longer, "
                        "or check its schedule.",
                        export_id=id,
                    )

        await locate()  # wait for the report before waiting for a place among the downloads
        operation = LATEST.id
        return await download(
            self._session,
            operation,
            locate,
            target,
            gunzip=gunzip,
            decode=False,
            expected="gzip",
            progress=progress,
        )

    async def _latest(self, identity: int | str, *, exists: bool) -> InsightsReportExportLatestResult | None:
        from kantata_client.models.insights_report_export import InsightsReportExport
        from kantata_client.models.insights_report_export_latest_result import (
            InsightsReportExportLatestResult,
        )
        from kantata_client.operations.insights_report_exports import GET, LATEST

        try:
            return await self._session.one(LATEST, InsightsReportExportLatestResult, (identity,), {}, None)
        except NOT_YET:
            if not exists:
                # A 404 means "no report yet" as well as "no such export".
                await self._session.one(GET, InsightsReportExport, (identity,), {}, None)
            return None
