"""The hand-written methods of `kantata.project_accounting_records`: CSV export and import."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kantata_client._calls.extras import with_extras
from kantata_client._files.csv import csv_content, parsed
from kantata_client._files.local import checked_target, in_thread
from kantata_client._resources.base import Resource

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from kantata_client._files.downloads import Address
    from kantata_client._files.local import StrPath
    from kantata_client.hooks import Progress
    from kantata_client.models.project_accounting_record import ProjectAccountingRecord
    from kantata_client.operations.project_accounting_records import Include

_MOST = 5_000
"""How many records one import accepts."""


class ProjectAccountingRecordsMethods(Resource):
    """Hand-written methods of `kantata.project_accounting_records`."""

    __slots__ = ()

    async def download_csv(
        self,
        *,
        to: StrPath,
        include: Include | Iterable[Include] | None = None,
        progress: Progress | None = None,
        extra_query: Mapping[str, object] | None = None,
    ) -> Path:
        """Export all project accounting records to a CSV file, in constant memory.

        Args:
            to: The file; an existing one is replaced once the download is complete.
            include: Associations to export as well.
            progress: Called with the bytes received and their total, or `None` if that is unknown.
            extra_query: Query parameters that the contract lacks, sent unchecked.

        Returns:
            The file.

        Raises:
            UsageError: An argument is invalid; nothing was sent.
            APIError: The service refused the export; see `kantata_client.errors`.

        Source: GET /project_accounting_records/export_to_csv
        """
        from urllib.parse import urlencode

        from kantata_client._calls.arguments import query_of
        from kantata_client._files.downloads import Address, download
        from kantata_client.operations.project_accounting_records import EXPORT_TO_CSV

        target = checked_target(to, "project_accounting_records.download_csv")
        given, _ = with_extras(EXPORT_TO_CSV, {"include": include}, None, extra_query, None)
        query = query_of(EXPORT_TO_CSV, given)
        url = self._session.base_url + EXPORT_TO_CSV.path
        if query:
            url += f"?{urlencode(query, safe=',')}"

        async def locate() -> Address:
            return Address(url, ours=True)

        return await download(self._session, EXPORT_TO_CSV.id, locate, target, progress=progress)

    async def upload_csv(
        self,
        csv: StrPath | bytes,
        *,
        include: Include | Iterable[Include] | None = None,
        extra_query: Mapping[str, object] | None = None,
        extra_body: Mapping[str, object] | None = None,
    ) -> list[ProjectAccountingRecord]:
        """Import accounting records from a CSV file, whose records are counted before it is sent.

        Args:
            csv: A `.csv` or `.txt` file, or its content: a header (see `import_csv`) and 1 to 5,000 records.
            include: Associations to load; reading others raises `NotIncludedError`.
            extra_query: Query parameters that the contract lacks, sent unchecked.
            extra_body: Properties that the contract lacks, sent unchecked.

        Returns:
            The `ProjectAccountingRecord` objects of the response.

        Raises:
            UsageError: The file is not valid; nothing was sent.
            APIError: The service refused the import; see `kantata_client.errors`.
            UnknownOutcomeError: No response came. Check what was imported before you send the file again.

        Source: POST /project_accounting_records/import_csv
        """
        from kantata_client._http.messages import File
        from kantata_client.models.project_accounting_record import ProjectAccountingRecord
        from kantata_client.operations.project_accounting_records import IMPORT_CSV

        where = "project_accounting_records.upload_csv"
        content = await csv_content(csv, where)
        await in_thread(parsed, content, where, _MOST)
        file = File("csv_file", "records.csv", content, "text/csv")
        return await self._many(
            IMPORT_CSV,
            ProjectAccountingRecord,
            query={"include": include},
            body={"csv_file": file},
            extra_query=extra_query,
            extra_body=extra_body,
        )
