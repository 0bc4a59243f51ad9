"""Data exports: data sets and columns with opaque keys, as on the service, and the files made of them."""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
from datetime import date
from typing import TYPE_CHECKING, Any, cast

import attrs

from kantata_client.sandbox import mutations, schema
from kantata_client.sandbox.cdn import Blob
from kantata_client.sandbox.records import listed
from kantata_client.sandbox.refusals import Refusal, invalid
from kantata_client.sandbox.relations import fresh, subject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from kantata_client.sandbox.call import Call
    from kantata_client.sandbox.records import Record
    from kantata_client.sandbox.store import Store

DATASETS: Mapping[str, str] = {
    "expenses": "Expense",
    "invoices": "Invoice",
    "workspaces": "Project",
    "participations": "Project Participation",
    "workspace_resources": "Resource",
    "roles": "Role",
    "stories": "Task",
    "assignments": "Task Assignment",
    "time_entries": "Time Entry",
    "users": "User",
}
"""Envelope key → the name of the data set."""
_SUBJECTS: Mapping[str, str] = {
    "stories": "Story",
    "users": "User",
    "workspaces": "Workspace",
    "workspace_resources": "Resource",
}
"""Envelope key → the `subject_type` of its custom fields."""
_EXPORTS = "exports"
_FILTERS = frozenset({"start_date", "end_date"})
_STATUSES = ("Queued", "Generating", "Complete")


@attrs.frozen
class _Column:
    """A column of a data set."""

    key: str
    name: str
    kind: str
    source: str
    """The field of the records, or the id of the custom field."""
    custom: bool = False

    def described(self) -> dict[str, str]:
        return {"key": self.key, "display_name": self.name, "description": "", "type": self.kind}


def dataset_key(dataset: str) -> str:
    """The key of the data set of an envelope key: the same in every sandbox, and not to be guessed from its name."""
    return _opaque(dataset)


def column_key(dataset: str, field: str) -> str:
    """The key of the column with a field of the records under an envelope key."""
    return _opaque(dataset, field)


def _opaque(*words: str) -> str:
    return hashlib.blake2b("/".join(words).encode(), digest_size=8).hexdigest()


def datasets(call: Call) -> dict[str, Any]:
    """List the data sets with their columns."""
    store = call.scope.store
    return {
        "datasets": {
            dataset_key(dataset): {
                **_named(dataset),
                "columns": [column.described() for column in _columns(store, dataset)],
            }
            for dataset in DATASETS
        }
    }


def create(call: Call) -> dict[str, Any]:
    """Queue an export."""
    requested: Any = call.fields().get("export_definition")
    if not isinstance(requested, dict) or not requested:
        raise Refusal(422, invalid("export_definition", "can't be blank."))
    definition = {
        key: _entry(call.scope.store, key, entry) for key, entry in cast("dict[str, Any]", requested).items()
    }
    record = fresh(
        call.scope, _EXPORTS, status=_STATUSES[0], export_definition=definition, user_id=call.scope.viewer
    )
    return call.envelope([str(call.scope.store.put(_EXPORTS, record)["id"])])


def _entry(store: Store, key: str, requested: Any) -> dict[str, Any]:
    dataset = _dataset(key)
    if dataset is None:
        message = f"has no data set {key}: GET /exports/available_datasets lists their keys."
        raise Refusal(422, invalid("export_definition", message))
    entry = cast("dict[str, Any]", requested if isinstance(requested, dict) else {})
    available = {column.key: column for column in _columns(store, dataset)}
    columns: Any = entry.get("columns")
    keys = cast("list[Any]", columns) if isinstance(columns, list) else []
    if not keys or any(not isinstance(key, str) or key not in available for key in keys):
        message = (
            f"{key} takes a list of column keys as its columns: GET /exports/available_datasets lists them."
        )
        raise Refusal(422, invalid("export_definition", message))
    given: Any = entry.get("filters") or {}
    rows = cast("dict[str, Any]", given).items() if isinstance(given, dict) else [("", given)]
    filters = {name: _date(value) for name, value in rows}
    if None in filters.values() or not _FILTERS.issuperset(filters):
        message = f"{key} takes the filters start_date and end_date, each a date."
        raise Refusal(422, invalid("export_definition", message))
    return {**_named(dataset), "columns": [available[key].described() for key in keys], "filters": filters}


def _dataset(key: str) -> str | None:
    return next((dataset for dataset in DATASETS if dataset_key(dataset) == key), None)


def _date(value: Any) -> str | None:
    try:
        return date.fromisoformat(value).isoformat()
    except (TypeError, ValueError):
        return None


def get(call: Call) -> dict[str, Any]:
    """Get an export; polling advances it."""
    record = mutations.existing(call.scope, _EXPORTS, call.identity)
    if record["status"] in _STATUSES[:-1]:
        ready = call.scope.store.files.look(f"export {call.identity}")
        call.scope.store.put(_EXPORTS, {**record, "status": _STATUSES[-1] if ready else _STATUSES[1]})
    return call.envelope([call.identity])


def cancel(call: Call) -> dict[str, Any]:
    """Cancel a queued export."""
    record = mutations.existing(call.scope, _EXPORTS, call.identity)
    if not call.fields().get("canceled"):
        return call.envelope([call.identity])
    if record["status"] != _STATUSES[0]:
        raise Refusal(422, invalid("canceled", f"is too late: the export is {record['status']}."))
    return call.change(status="Canceled")


def download_url(call: Call) -> dict[str, Any]:
    """Get the URL of an export, valid for a minute: a CSV file, or a ZIP archive with one for each data set."""
    call.parameter("include")
    record = mutations.existing(call.scope, _EXPORTS, call.identity)
    if record["status"] != _STATUSES[-1]:
        raise Refusal(422, invalid("status", f"is {record['status']}: there is nothing to download."))
    store = call.scope.store
    tables = {
        entry["display_name"]: _table(store, key, entry) for key, entry in record["export_definition"].items()
    }
    ending, media_type = ("csv", "text/csv") if len(tables) == 1 else ("zip", "application/zip")
    file = f"exports/{call.identity}.{ending}"
    if file not in store.files.blobs:
        [content] = tables.values() if len(tables) == 1 else [_packed(tables)]
        store.files.blobs[file] = Blob.of(content, media_type)
    return {"download_url": store.files.link(file)}


def _table(store: Store, key: str, entry: Mapping[str, Any]) -> bytes:
    dataset = _dataset(key)
    assert dataset is not None  # noqa: S101 - checked on creation
    available = {column.key: column for column in _columns(store, dataset)}
    # A custom field may have been deleted since then.
    columns = [available[each["key"]] for each in entry["columns"] if each["key"] in available]
    rows = store.evaluate(
        dataset,
        lambda row: [_cell(store, dataset, row, column) for column in columns],
        _within(entry["filters"]),
    )
    return as_csv([column.name for column in columns], (cells for _, cells in rows))


def _cell(store: Store, dataset: str, row: Record, column: _Column) -> Any:
    if not column.custom:
        return row.get(column.source)
    values = (
        value.get("value")
        for value in store.where("custom_field_values", "subject_ref", subject(dataset, row["id"]))
        if str(value.get("custom_field_id")) == column.source
    )
    return ", ".join(map(str, listed(next(values, None))))


def _packed(tables: Mapping[str, bytes]) -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in tables.items():
            made.writestr(zipfile.ZipInfo(f"{name}.csv"), content)
    return archive.getvalue()


def _within(filters: Mapping[str, str]) -> Callable[[Record], bool] | None:
    """The test of the filters of a data set; None without filters."""
    start, end = filters.get("start_date", ""), filters.get("end_date", "9999")
    return (lambda row: start <= str(row.get("created_at") or "")[:10] <= end) if filters else None


def _named(dataset: str) -> dict[str, str]:
    return {"key": dataset_key(dataset), "display_name": DATASETS[dataset]}


def shown_fields(key: str) -> dict[str, str]:
    """The fields that every record under an envelope key shows, with their kinds; lists are left out."""
    model = schema.model(key)
    kinds = {"id": "str", **{name: kind for name, kind in model.kinds.items() if kind in schema.SCALARS}}
    return {
        name: kind for name, kind in kinds.items() if name not in model.lists and name not in model.hidden
    }


def _columns(store: Store, dataset: str) -> list[_Column]:
    made = [
        _Column(column_key(dataset, name), name.replace("_", " ").title(), kind, name)
        for name, kind in shown_fields(dataset).items()
    ]
    subject_type = _SUBJECTS.get(dataset)
    custom = store.where("custom_fields", "subject_type", subject_type) if subject_type else ()
    return made + [
        _Column(
            column_key(dataset, f"custom/{row['id']}"), str(row.get("name")), "str", row["id"], custom=True
        )
        for row in custom
    ]


def as_csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """A CSV file."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue().encode()
