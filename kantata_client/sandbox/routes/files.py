"""Operations on files: attachments, photos, Insights reports, CSV of accounting records."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import re
from typing import TYPE_CHECKING, Any, cast

from kantata_client.operations import OPERATIONS
from kantata_client.sandbox import mutations
from kantata_client.sandbox.call import Document
from kantata_client.sandbox.cdn import Blob
from kantata_client.sandbox.forms import Part
from kantata_client.sandbox.refusals import Refusal, bad_request, invalid, not_found
from kantata_client.sandbox.relations import fresh
from kantata_client.sandbox.routes.exports import as_csv, shown_fields

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kantata_client.sandbox.call import Call

LARGEST_ATTACHMENT = 10_000_000
"""In bytes; a file uploaded to the server itself must be smaller."""
LARGEST_IMPORT = 5_000
"""Maximum number of records in a CSV import."""
_ATTACHMENTS, _RECORDS = "attachments", "project_accounting_records"
_COLUMNS = {
    "project id": "workspace_id",
    "story id": "story_id",
    "role id": "role_id",
    "user id": "user_id",
    "period start date": "start_date",
    "period end date": "end_date",
    "cost eac": "cost_eac",
    "hours eac": "hours_eac",
    "hours etc": "hours_etc",
}
"""Columns of accounting records that are not named like their field."""


# Attachments


def create_attachment(call: Call) -> dict[str, Any]:
    """Accept a small file, or return where to upload a large one."""
    kind = _sent(call, "attachment", "type")
    if kind not in {"receipt", "post_attachment"}:
        raise Refusal(422, invalid("type", "is not receipt or post_attachment."))
    # The documentation puts `direct` beside the attachment, the contract into it.
    direct = _sent(call, "direct"), _sent(call, "attachment", "direct")
    if any(value in {True, "true", "1"} for value in direct if isinstance(value, (bool, str))):
        return _direct(call, str(_sent(call, "attachment", "filename") or ""))
    part = _part(call, "attachment", "data")
    if len(part.content) >= LARGEST_ATTACHMENT:
        raise Refusal(422, invalid("data", "is too large: send it directly."))
    identity = _attachment(call, part.filename)
    files = call.scope.store.files
    files.blobs[_key(identity)] = Blob.of(part.content, part.media_type)
    _complete(call, identity)
    return call.envelope([identity])


def _direct(call: Call, filename: str) -> dict[str, Any]:
    if not re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9]+)?", filename):
        raise Refusal(
            422, invalid("filename", "takes letters, digits, _ and -, and a dot before the extension.")
        )
    identity = _attachment(call, filename)
    action, fields = call.scope.store.files.ticket(_key(identity))
    return {"id": int(identity), "action": action, "fields": fields}


def _attachment(call: Call, filename: str) -> str:
    record = fresh(call.scope, _ATTACHMENTS, filename=filename)
    return str(call.scope.store.put(_ATTACHMENTS, record)["id"])


def _key(identity: str) -> str:
    return f"attachments/{identity}"


def _complete(call: Call, identity: str) -> None:
    files = call.scope.store.files
    size, url = files.blobs[_key(identity)].size, files.link(_key(identity), 86_400.0)
    call.scope.store.change(_ATTACHMENTS, identity, filesize=size, url=url)


def sync_attachment(call: Call) -> dict[str, Any]:
    """Check that an uploaded file is on the CDN."""
    mutations.existing(call.scope, _ATTACHMENTS, call.identity)
    if _key(call.identity) not in call.scope.store.files.blobs:
        raise Refusal(422, invalid("base", f"The file of attachment {call.identity} is not on the CDN."))
    _complete(call, call.identity)
    return call.envelope([call.identity])


def set_photo(call: Call) -> dict[str, Any]:
    """Set the photo of a user."""
    mutations.existing(call.scope, "users", call.identity)
    part = _part(call, "user", "profile_photo_attachment_file")
    if not part.media_type.startswith("image/"):
        raise Refusal(422, invalid("profile_photo_attachment_file", "is not an image."))
    files = call.scope.store.files
    key = f"photos/{call.identity}"
    files.blobs[key] = Blob.of(part.content, part.media_type)
    return call.change(photo_path=files.link(key, 86_400.0))


def reset_photo(call: Call) -> None:
    """Remove the photo of a user."""
    call.change(photo_path=None)
    call.scope.store.files.blobs.pop(f"photos/{call.identity}", None)


# Insights reports


def latest_report(call: Call) -> dict[str, Any]:
    """Get the URL of the latest report, valid for a minute, as soon as it is ready."""
    jobs, store = "insights_report_exports", call.scope.store
    mutations.existing(call.scope, jobs, call.identity)
    if not store.files.look(f"report {call.identity}"):
        raise not_found("There is no successful export of this report yet.")
    key = f"reports/{call.identity}.csv.gz"
    if key not in store.files.blobs:
        names = list(shown_fields("time_entries"))
        first = itertools.islice(store.records("time_entries").values(), 1_000)
        rows = ([row.get(name) for name in names] for row in first)
        made = Blob.of(gzip.compress(as_csv(names, rows), mtime=0), "application/gzip")
        store.files.blobs[key] = store.files.reports.get(call.identity, made)
    return {"latest_success": {"url": store.files.link(key), "created_at": store.now()}}


# CSV


def export_records(call: Call) -> Document:
    """Export all accounting records as CSV."""
    call.parameter("include")
    fields = [name for name in _record_fields() if name != "external_reference"]
    header = [_column(name) for name in fields]
    rows = ([row.get(name) for name in fields] for row in call.scope.store.all(_RECORDS))
    return Document(as_csv(header, rows), "text/csv")


def import_records(call: Call) -> dict[str, Any]:
    """Create accounting records from CSV."""
    part = _part(call, "csv_file")
    fields = {_column(name).casefold(): name for name in _record_fields()}
    rows = _rows(part.content)
    if len(rows) > LARGEST_IMPORT:
        raise Refusal(422, invalid("csv_file", f"has more than {LARGEST_IMPORT} records."))
    operation = OPERATIONS["POST /project_accounting_records"]
    described: Mapping[str, Any] = operation.body.fields if operation.body else {}
    items = [
        {
            fields[name.casefold()]: _typed(described[fields[name.casefold()]].kind, text)
            for name, text in row.items()
            if text and name.casefold() in fields
        }
        for row in rows
    ]
    return call.envelope(mutations.create(call.scope, operation, _RECORDS, items, bulk=True))


def rates_of(text: str) -> list[dict[str, str]]:
    """The exchange rates in a CSV text."""
    return [
        {name.lower().replace(" ", "_"): cell for name, cell in row.items()} for row in _rows(text.encode())
    ]


def ids_of(text: str) -> list[str]:
    """The ids in the column `ID` of a CSV text."""
    rows = _rows(text.encode())
    if "ID" not in rows[0]:
        raise Refusal(422, invalid("csv_file", "has no column `ID`."))
    return [row["ID"] for row in rows]


def _record_fields() -> Sequence[str]:
    operation = OPERATIONS["POST /project_accounting_records"]
    return tuple(operation.body.fields) if operation.body else ()


def _column(field: str) -> str:
    words = {name: words for words, name in _COLUMNS.items()}.get(field, field.replace("_", " "))
    return words.title()


def _rows(content: bytes) -> list[dict[str, str]]:
    try:
        text = content.decode("utf-8-sig")
        found = list(csv.DictReader(io.StringIO(text, newline=""), restkey="", restval="", strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise Refusal(422, invalid("csv_file", f"can't be read: {error}.")) from error
    if not found:
        raise Refusal(422, invalid("csv_file", "has no record."))
    return [{str(name): str(cell).strip() for name, cell in row.items()} for row in found]


def _typed(kind: str, text: str) -> Any:
    try:
        return {"integer": int, "number": float}.get(kind, str)(text)
    except ValueError:
        return text  # refused with the others that are wrong


def _sent(call: Call, *path: str) -> Any:
    """A value in the body, a form or JSON; None if it is missing."""
    found: Any = call.body
    for name in path:
        found = cast("dict[str, Any]", found).get(name) if isinstance(found, dict) else None
    return found


def _part(call: Call, *path: str) -> Part:
    """A file in the body."""
    found = _sent(call, *path)
    if not isinstance(found, Part):
        if not isinstance(call.body, dict):
            raise bad_request(f"{call.operation.id} takes a multipart form.")
        raise Refusal(422, invalid(path[-1], "is missing: a file in a multipart form."))
    return found
