"""The hand-written methods of `kantata.exports`: data exports into files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from kantata_client._calls.extras import with_extras
from kantata_client._files.waiting import NOT_YET, Pauses, check_pauses
from kantata_client._resources.base import Resource
from kantata_client.errors import ExportError, MalformedResponseError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from kantata_client._files.downloads import Address
    from kantata_client._files.local import StrPath
    from kantata_client.hooks import Progress
    from kantata_client.models.account_data_export_result import AccountDataExportResult
    from kantata_client.models.inputs import ExportDefinitionInput

Columns: TypeAlias = "Iterable[str] | ExportDefinitionInput | None"
"""What to export of a data set: column keys, or columns with filters, or `None` for all columns."""

# The contract only documents `Queued`. With any other status, the download address shows whether the export is ready.
_DONE = frozenset(
    {"success", "successful", "succeeded", "complete", "completed", "done", "finished", "ready"}
)
_FAILED = frozenset({"failed", "failure", "error", "errored", "canceled", "cancelled", "expired", "aborted"})
_WAITING = frozenset({"queued", "pending", "processing", "in progress", "running", "started", "created"})


class ExportsMethods(Resource):
    """Hand-written methods of `kantata.exports`."""

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
        extra_query: Mapping[str, object] | None = None,
        extra_body: Mapping[str, object] | None = None,
    ) -> Path:
        """Export data sets to a CSV file: create the export, wait for it, download it.

        Args:
            datasets: Data set key → column keys, such as `{"8ebff9db413b3115": ["4eb02f5e2601433d"]}`, as
                `available_datasets` lists them; or `{"columns": […], "filters": {"start_date": …}}`; or `None` for all
                columns of the data set.
            to: The file; an existing one is replaced once the download is complete.
            interval: Seconds between the first two status requests; the pauses grow to 15 seconds.
            timeout: Seconds to wait for the export to become ready.
            on_status: Called with the export after each status request.
            progress: Called with the bytes received and their total, or `None` if that is unknown.
            extra_query: Query parameters that the contract lacks, sent unchecked when the export is created.
            extra_body: Properties that the contract lacks, sent unchecked when the export is created.

        Returns:
            The file.

        Raises:
            UsageError: An argument is invalid; nothing was sent.
            ExportError: The export failed, was canceled, or was not ready in time.
            APIError: The service refused a request; see `kantata_client.errors`.

        Source: POST /exports, GET /exports/{id}, GET /exports/{id}/download_url
        """
        from kantata_client._files.local import checked_target
        from kantata_client.models.account_data_export_result import AccountDataExportResult
        from kantata_client.operations.exports import CREATE

        target = checked_target(to, "exports.run")
        check_pauses("exports.run", interval, timeout)
        query, extra = with_extras(CREATE, {}, {"export_definition": {}}, extra_query, extra_body)
        definition = await self._definition(datasets)
        body = {**(extra or {}), "export_definition": definition}
        export = await self._session.one(CREATE, AccountDataExportResult, (), query, body)
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
        """Download an existing export as soon as it is ready; arguments and errors are those of `run`.

        Source: GET /exports/{id}, GET /exports/{id}/download_url
        """
        from kantata_client._files.local import checked_target

        target = checked_target(to, "exports.download")
        check_pauses("exports.download", interval, timeout)
        export = await self._look(id)
        if on_status is not None:
            on_status(export)
        return await self._fetch(export, target, interval, timeout, on_status, progress)

    async def _definition(self, datasets: Mapping[str, Columns]) -> dict[str, dict[str, Any]]:
        if not isinstance(datasets, Mapping) or not datasets:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise UsageError(
                'exports.run: expected a mapping of data set keys, such as {"8ebff9db413b3115": None}; '
                "`await exports.available_datasets()` lists them"
            )
        definition: dict[str, dict[str, Any]] = {}
        for key, columns in datasets.items():
            if isinstance(columns, str):
                raise UsageError(
                    f"exports.run: {key}: expected a list of column keys, not the string {columns!r}"
                )
            if isinstance(columns, Mapping):
                definition[key] = dict(cast("Mapping[str, Any]", columns))
            else:
                definition[key] = {"columns": [] if columns is None else list(columns)}
            if columns is not None and not definition[key].get("columns"):
                raise UsageError(
                    f"exports.run: {key}: the list of columns is empty. Pass None for all columns"
                )
        if any(columns is None for columns in datasets.values()):
            await self._fill(definition)
        return definition

    async def _fill(self, definition: dict[str, dict[str, Any]]) -> None:
        """Fill in all columns of the data sets that were given as `None`."""
        from kantata_client.models.export_available_datasets_result import ExportAvailableDatasetsResult
        from kantata_client.operations.exports import AVAILABLE_DATASETS

        found = await self._session.one(AVAILABLE_DATASETS, ExportAvailableDatasetsResult, (), {}, None)
        known = found.datasets or {}
        keys = ", ".join(f"{key} ({dataset.display_name})" for key, dataset in known.items())
        for key, entry in definition.items():
            if key not in known:
                raise UsageError(
                    f"exports.run: there is no data set with the key {key!r}. The keys are {keys}",
                    consequence="Nothing was created.",
                )
            if not entry["columns"]:
                entry["columns"] = [column.key for column in known[key].columns or () if column.key]

    async def _look(self, identity: int | str) -> AccountDataExportResult:
        from kantata_client.models.account_data_export_result import AccountDataExportResult
        from kantata_client.operations.exports import GET

        return await self._session.one(GET, AccountDataExportResult, (identity,), {}, None)

    async def _locate(self, identity: int | str) -> Address:
        from kantata_client._files.downloads import Address
        from kantata_client.models.export_download_url_result import ExportDownloadUrlResult
        from kantata_client.operations.exports import DOWNLOAD_URL

        found = await self._session.one(DOWNLOAD_URL, ExportDownloadUrlResult, (identity,), {}, None)
        if not found.download_url:
            raise MalformedResponseError(
                f"GET /exports/{identity}/download_url answered without an address. Try again later.",
                method="GET",
                path=f"/exports/{identity}/download_url",
            )
        return Address(found.download_url)

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
        pauses = Pauses(self._session, interval, timeout)
        while not await self._ready(export):
            if not await pauses.next():
                raise ExportError(
                    f"Export {identity} is not ready after {timeout:g} seconds (status {export.status!r}). Wait longer with "
                    f"`exports.download({identity}, to=…)`, or cancel it with "
                    f"`exports.update({identity}, canceled=True)`.",
                    export_id=identity,
                    status=export.status,
                )
            export = await self._look(identity)
            if on_status is not None:
                on_status(export)
        return await download(
            self._session,
            "GET /exports/{id}/download_url",
            lambda: self._locate(identity),
            target,
            progress=progress,
        )

    async def _ready(self, export: AccountDataExportResult) -> bool:
        status = str(export.status or "").strip().casefold().replace("_", " ")
        if status in _FAILED:
            raise ExportError(
                f"Export {export.id} ended with the status {export.status!r}. Create a new one.",
                export_id=export.id,
                status=export.status,
            )
        if status in _DONE:
            return True
        if status in _WAITING:
            return False
        try:
            await self._locate(export.id)
        except (*NOT_YET, MalformedResponseError):
            return False
        return True
