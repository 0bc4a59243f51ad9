"""What the type checker makes of uploads and downloads; nothing here is run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, assert_type

from kantata_client.models import Attachment, ExchangeRate, ProjectAccountingRecord, User

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from kantata_client import ExportError, Kantata, UploadError


async def uploads(kantata: Kantata, stream: AsyncIterator[bytes]) -> None:
    assert_type(await kantata.attachments.upload("a.pdf", type="receipt"), Attachment)
    assert_type(await kantata.attachments.upload(Path("a.pdf"), type="post_attachment"), Attachment)
    assert_type(await kantata.attachments.upload(b"", type="receipt", filename="a.pdf"), Attachment)
    assert_type(
        await kantata.attachments.upload(stream, type="receipt", filename="a.pdf", size=7, progress=print),
        Attachment,
    )
    await kantata.attachments.upload("a.pdf", type="photo")  # pyright: ignore[reportArgumentType]
    await kantata.attachments.upload(7, type="receipt")  # pyright: ignore[reportArgumentType]
    await kantata.attachments.upload("a.pdf")  # pyright: ignore[reportCallIssue]
    assert_type(await kantata.users.upload_profile_photo(7, "me.png", include=["role"]), User)
    assert_type(await kantata.exchange_tables.upload_rates(7, b""), list[ExchangeRate])
    assert_type(
        await kantata.project_accounting_records.upload_csv(Path("a.csv")), list[ProjectAccountingRecord]
    )


async def downloads(kantata: Kantata) -> None:
    assert_type(await kantata.exports.run({"users": ["id"]}, to="a.csv"), Path)
    assert_type(
        await kantata.exports.run({"users": {"columns": ["id"]}, "stories": None}, to=Path("a.csv")), Path
    )
    await kantata.exports.run({"users": ["id"]})  # pyright: ignore[reportCallIssue]
    assert_type(await kantata.exports.download(7, to="a.csv"), Path)
    assert_type(await kantata.insights_report_exports.download_latest(7, to="a.gz", gunzip=True), Path)
    assert_type(await kantata.project_accounting_records.download_csv(to="a.csv", include="role"), Path)


def errors(upload: UploadError, export: ExportError) -> None:
    assert_type(upload.attachment_id, int | str)
    assert_type(export.export_id, int | str)
    assert_type(export.status, str | None)
