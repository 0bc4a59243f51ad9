"""Exports into files: data exports and Insights reports."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from kantata_client._calls.arguments import NO_ZONE
from kantata_client._resources.base import Resource
from kantata_client.errors import (
    BadRequestError,
    ExportError,
    MalformedResponseError,
    NotFoundError,
    UsageError,
    ValidationError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime
    from pathlib import Path

    from _typeshed import StrPath

    from kantata_client._calls.session import Session
    from kantata_client._files.downloads import Place
    from kantata_client._progress import Progress
    from kantata_client.models.account_data_export_result import AccountDataExportResult
    from kantata_client.models.inputs import ExportDefinitionInput
    from kantata_client.models.insights_report_export_latest_result import InsightsReportExportLatestResult

Columns: TypeAlias = "Iterable[str] | ExportDefinitionInput | None"
"""Of a data set in an export: column keys, or keys with filters, or `None` for all columns."""

# The contract names `Queued` alone. What is on neither list is waited for, and asked for its address in between.
_DONE = frozenset(
    {"success", "successful", "succeeded", "complete", "completed", "done", "finished", "ready"}
)
_FAILED = frozenset({"failed", "failure", "error", "errored", "canceled", "cancelled", "expired", "aborted"})
_WAITING = frozenset({"queued", "pending", "processing", "in progress", "running", "started", "created"})
_SLOWER = 1.5
_SLOWEST = 15.0
"""Longest pause between two looks, in seconds."""

_NOT_YET = (NotFoundError, ValidationError, BadRequestError)


class ExportDownloads(Resource):
    """What `kantata.exports` has besides the contract's operations."""

    __slots__ = ()

    async def run(
        self,
        datasets: Mapping[str, Columns],
        *,
        to: StrPath,
        interval: float = 1.0,
        timeout: float = 3600.0,
        on_status: Callable[[AccountDataExportResult], object] | None = None,
        progress: Progress | None = None,
    ) -> Path:
        """Export data sets into a CSV file: create the export, wait for it, download it.

        Args:
            datasets: Data set key → column keys, such as `{"time_entries": ["id", "date_performed"]}`; or
                `{"columns": […], "filters": {"start_date": …}}`; or `None` for all columns of the data set.
            to: The file, replaced if there is one, and only when the download is complete.
            interval: Seconds between the first two looks at the export's status; the pauses grow up to 15 seconds.
            timeout: Seconds after which an export that is not ready is given up.
            on_status: Called with the export after each look.
            progress: Called with the bytes received and their total, `None` if it is not known.

        Returns:
            The file.

        Raises:
            UsageError: An argument is wrong; nothing was sent.
            ExportError: The export failed, was canceled, or is not ready in time.
            APIError: The service refused; see `kantata_client.errors`.

        Source: POST /exports, GET /exports/{id}, GET /exports/{id}/download_url
        """
        from kantata_client._files.local import checked_target
        from kantata_client.models.account_data_export_result import AccountDataExportResult
        from kantata_client.operations.exports import CREATE

        target = checked_target(to, "exports.run")
        _check_pauses("exports.run", interval, timeout)
        definition = await self._definition(datasets)
        export = await self._session.one(
            CREATE, AccountDataExportResult, (), {}, {"export_definition": definition}
        )
        if on_status is not None:
            on_status(export)
        return await self._fetch(export, target, interval, timeout, on_status, progress)

    async def download(
        self,
        id: int | str,
        *,
        to: StrPath,
        interval: float = 1.0,
        timeout: float = 3600.0,
        on_status: Callable[[AccountDataExportResult], object] | None = None,
        progress: Progress | None = None,
    ) -> Path:
        """Download an export that was created before, as soon as it is ready; arguments and errors are those of `run`.

        Source: GET /exports/{id}, GET /exports/{id}/download_url
        """
        from kantata_client._files.local import checked_target

        target = checked_target(to, "exports.download")
        _check_pauses("exports.download", interval, timeout)
        export = await self._look(id)
        if on_status is not None:
            on_status(export)
        return await self._fetch(export, target, interval, timeout, on_status, progress)

    async def _definition(self, datasets: Mapping[str, Columns]) -> dict[str, dict[str, Any]]:
        if not isinstance(datasets, Mapping) or not datasets:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(
                'exports.run: a mapping of data set keys is needed, such as {"time_entries": ["id"]}; '
                "`await exports.available_datasets()` lists them. Nothing was sent."
            )
        definition: dict[str, dict[str, Any]] = {}
        for key, columns in datasets.items():
            if isinstance(columns, str):
                raise UsageError(
                    f"exports.run: {key}: a list of column keys is needed, not the text {columns!r}. "
                    "Nothing was sent."
                )
            if isinstance(columns, Mapping):
                definition[key] = dict(cast("Mapping[str, Any]", columns))
            else:
                definition[key] = {"columns": [] if columns is None else list(columns)}
            if columns is not None and not definition[key].get("columns"):
                raise UsageError(
                    f"exports.run: {key}: no column is named; None asks for all. Nothing was sent."
                )
        if any(columns is None for columns in datasets.values()):
            await self._fill(definition)
        return definition

    async def _fill(self, definition: dict[str, dict[str, Any]]) -> None:
        """Name all columns of the data sets that have none."""
        from kantata_client._lazy import similar
        from kantata_client.models.export_available_datasets_result import ExportAvailableDatasetsResult
        from kantata_client.operations.exports import AVAILABLE_DATASETS

        found = await self._session.one(AVAILABLE_DATASETS, ExportAvailableDatasetsResult, (), {}, None)
        known = found.datasets or {}
        for key, entry in definition.items():
            if key not in known:
                raise UsageError(
                    f"exports.run: there is no data set {key!r}{similar(key, known)}. Nothing was created."
                )
            if not entry["columns"]:
                entry["columns"] = [column.key for column in known[key].columns or () if column.key]

    async def _look(self, identity: int | str) -> AccountDataExportResult:
        from kantata_client.models.account_data_export_result import AccountDataExportResult
        from kantata_client.operations.exports import GET

        return await self._session.one(GET, AccountDataExportResult, (identity,), {}, None)

    async def _url(self, identity: int | str) -> Place:
        from kantata_client._files.downloads import Place
        from kantata_client.models.export_download_url_result import ExportDownloadUrlResult
        from kantata_client.operations.exports import DOWNLOAD_URL

        found = await self._session.one(DOWNLOAD_URL, ExportDownloadUrlResult, (identity,), {}, None)
        if not found.download_url:
            raise MalformedResponseError(
                f"GET /exports/{identity}/download_url answered without an address: try again later.",
                method="GET",
                path=f"/exports/{identity}/download_url",
            )
        return Place(found.download_url)

    async def _fetch(
        self,
        export: AccountDataExportResult,
        target: Path,
        interval: float,
        timeout: float,
        on_status: Callable[[AccountDataExportResult], object] | None,
        progress: Progress | None,
    ) -> Path:
        from kantata_client._files.downloads import download

        identity = export.id
        pauses = _Pauses(self._session, interval, timeout)
        while not await self._ready(export):
            if not await pauses.next():
                raise ExportError(
                    f"Export {identity} is not ready after {timeout:g} seconds (status {export.status!r}): "
                    f"`exports.download({identity}, to=…)` goes on waiting, "
                    f"`exports.update({identity}, canceled=True)` gives it up.",
                    export_id=identity,
                    status=export.status,
                )
            export = await self._look(identity)
            if on_status is not None:
                on_status(export)
        return await download(
            self._session,
            "GET /exports/{id}/download_url",
            lambda: self._url(identity),
            target,
            progress=progress,
        )

    async def _ready(self, export: AccountDataExportResult) -> bool:
        status = str(export.status or "").strip().casefold().replace("_", " ")
        if status in _FAILED:
            raise ExportError(
                f"Export {export.id} ended with the status {export.status!r}: create it anew.",
                export_id=export.id,
                status=export.status,
            )
        if status in _DONE:
            return True
        if status in _WAITING:
            return False
        try:
            await self._url(export.id)
        except (*_NOT_YET, MalformedResponseError):
            return False
        return True


class ReportDownloads(Resource):
    """What `kantata.insights_report_exports` has besides the contract's operations."""

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
        """Download the latest report of a scheduled export, and wait for it if there is none yet.

        An export takes up to 20 minutes. The file is a `.gz` of up to 10 GB; it is never held in memory.

        Args:
            id: Id of the scheduled export.
            to: The file, replaced if there is one, and only when the download is complete.
            newer_than: Wait for a report that was made after this time (with a time zone).
            gunzip: Write the CSV itself instead of the `.gz`.
            interval: Seconds between the first two looks; the pauses grow up to 15 seconds.
            timeout: Seconds after which it is given up.
            on_wait: Called before each pause, with the answer or, if there is no report at all, `None`.
            progress: Called with the bytes received, as they came, and their total, `None` if it is not known.

        Returns:
            The file.

        Raises:
            UsageError: An argument is wrong; nothing was sent.
            ExportError: There is no report in time.
            NotFoundError: There is no such scheduled export.
            APIError: The service refused; see `kantata_client.errors`.

        Source: GET /scheduled_jobs/insights_report_exports/{insights_report_export_id}/results/latest
        """
        from kantata_client._files.downloads import Place, download
        from kantata_client._files.local import checked_target
        from kantata_client.operations.insights_report_exports import LATEST

        target = checked_target(to, "insights_report_exports.download_latest")
        _check_pauses("insights_report_exports.download_latest", interval, timeout)
        if newer_than is not None and newer_than.utcoffset() is None:
            raise UsageError(
                f"insights_report_exports.download_latest: newer_than {NO_ZONE}. Nothing was sent."
            )
        pauses = _Pauses(self._session, interval, timeout)
        exists = False

        async def place() -> Place:
            nonlocal exists
            while True:
                found = await self._latest(id, exists=exists)
                exists = True
                latest = found.latest_success if found else None
                made = latest.created_at if latest else None
                if latest and latest.url and (newer_than is None or (made and made > newer_than)):
                    return Place(latest.url)
                if on_wait is not None:
                    on_wait(found)
                if not await pauses.next():
                    newer = f" newer than {newer_than}" if newer_than else ""
                    raise ExportError(
                        f"Scheduled export {id} has no report{newer} after {timeout:g} seconds: wait longer, "
                        "or look at its schedule.",
                        export_id=id,
                    )

        await place()  # who waits for a report needs no place among the downloads yet
        operation = LATEST.id
        return await download(
            self._session, operation, place, target, gunzip=gunzip, decode=False, progress=progress
        )

    async def _latest(self, identity: int | str, *, exists: bool) -> InsightsReportExportLatestResult | None:
        from kantata_client.models.insights_report_export import InsightsReportExport
        from kantata_client.models.insights_report_export_latest_result import (
            InsightsReportExportLatestResult,
        )
        from kantata_client.operations.insights_report_exports import GET, LATEST

        try:
            return await self._session.one(LATEST, InsightsReportExportLatestResult, (identity,), {}, None)
        except _NOT_YET:
            if not exists:
                # A 404 means "no report yet" as well as "no such export".
                await self._session.one(GET, InsightsReportExport, (identity,), {}, None)
            return None


class _Pauses:
    """Growing pauses between two looks, up to a deadline."""

    def __init__(self, session: Session, interval: float, timeout: float) -> None:
        self._transport = session.transport
        self._end = self._transport.clock() + timeout
        self._pause = interval

    async def next(self) -> bool:
        """Wait; false when there is no time left for it."""
        left = self._end - self._transport.clock()
        if left <= 0:
            return False
        # Not jittered: who waits here has been answered, so that nothing brings waiting clients into step.
        await self._transport.rest(min(self._pause, left))
        self._pause = min(self._pause * _SLOWER, max(_SLOWEST, self._pause))
        return True


def _check_pauses(where: str, interval: float, timeout: float) -> None:
    if not (interval > 0 and timeout >= 0):
        raise UsageError(
            f"{where}: interval={interval!r}, timeout={timeout!r}: seconds above 0 are needed. Nothing was sent."
        )
