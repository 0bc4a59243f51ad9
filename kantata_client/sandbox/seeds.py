"""Initial records: read from JSON or YAML, completed, and checked against the contract."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from kantata_client import models
from kantata_client.errors import UsageError
from kantata_client.sandbox import registry, schema
from kantata_client.sandbox.relations import blank, singular

if TYPE_CHECKING:
    from kantata_client.sandbox.records import Record

_SHOWN_ERRORS = 10
_ID = re.compile(r"[^\s/,?#]+")
_FREE = frozenset({"settings"})
"""Keys of the sandbox's own records, which dumps contain."""


@cache
def keys() -> frozenset[str]:
    """The envelope keys of the contract, and the resources of which it has plain objects."""
    operations = schema.OPERATIONS.values()
    plain = {resource.key for resource in registry.declared()}
    return frozenset(
        {*_FREE, *models.KEYS, *(operation.key for operation in operations if operation.key), *plain}
    )


def read(path: str | Path) -> dict[str, list[dict[str, Any]]]:
    """The records in a file: JSON, or YAML if its name ends in `.yaml` or `.yml`.

    Raises:
        UsageError: The file can't be read, or is not of the form `{envelope key: [record, …]}`.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The seed {path} can't be read: {error}.", consequence="") from error
    try:
        found = _yaml(text, path) if path.suffix in {".yaml", ".yml"} else json.loads(text)
    except ValueError as error:
        raise UsageError(f"The seed {path} can't be read: {error}.", consequence="") from error
    if not isinstance(found, dict) or not all(
        isinstance(v, list) for v in cast("dict[Any, Any]", found).values()
    ):
        raise UsageError(
            f'The seed {path} must be an object of lists, such as {{"users": [{{"full_name": "…"}}]}}.',
            consequence="",
        )
    return cast("dict[str, list[dict[str, Any]]]", found)


def _yaml(text: str, path: Path) -> Any:
    try:
        import yaml
    except ModuleNotFoundError as error:
        raise UsageError(
            f"Reading {path} needs PyYAML: install it (`pip install pyyaml`), or write the seed as JSON.",
            consequence="",
        ) from error
    try:
        return yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - this loader only creates strings
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


def complete(records: Mapping[str, Iterable[Mapping[str, Any]]], now: str) -> dict[str, list[Record]]:
    """Complete every record with the fields of its type, and check it.

    Args:
        records: Envelope key → records; missing ids are generated.
        now: The default of `created_at` and `updated_at`, in the format of the API.

    Raises:
        UsageError: An unknown key or field, a value of the wrong type, a duplicate id, or a dangling reference.
    """
    _shape(records)
    errors: list[str] = []
    made: dict[str, dict[str, Record]] = {}
    for key, rows in records.items():
        if key not in keys():
            errors.append(_unknown_key(key))
            continue
        if key in _FREE:
            made[key] = {str(row["id"]): dict(row) for row in rows if row.get("id") is not None}
            continue
        ids = {str(row["id"]) for row in rows if row.get("id") is not None}
        following = max((int(identity) for identity in ids if identity.isdigit()), default=0)
        for number, row in enumerate(rows):
            if row.get("id") is None:
                following += 1
                row = {"id": following, **row}
            record = _record(key, row, now, f"{key}[{number}]", errors)
            identity = record["id"]
            if identity in made.get(key, {}):
                errors.append(f"{key}[{number}]: the id {identity} occurs twice")
            made.setdefault(key, {})[identity] = record
    for key, rows in made.items():
        for identity, record in rows.items():
            errors += _dangling(
                key, f"{key} {identity}", record, lambda other, each: made.get(other, {}).get(each)
            )
        errors += _cycles(key, rows)
    if errors:
        more = f"\n  … and {len(errors) - _SHOWN_ERRORS} more" if len(errors) > _SHOWN_ERRORS else ""
        listed = "\n  ".join(errors[:_SHOWN_ERRORS])
        raise UsageError(f"The records do not fit the contract:\n  {listed}{more}", consequence="")
    return {key: list(rows.values()) for key, rows in made.items()}


def check(key: str, record: Mapping[str, Any]) -> None:
    """Check the envelope key and the names of the fields of a record.

    Values are not checked: a test may want to see what a program does with a strange one.

    Raises:
        UsageError: The key or a field is unknown.
    """
    errors = [_unknown_key(key)] if key not in keys() else _unknown_fields(key, record, singular(key))
    if errors:
        raise UsageError(f"The record does not fit the contract: {'; '.join(errors)}.", consequence="")


def check_all(records: Any, present: Callable[[str, str], Record | None]) -> None:
    """Check records that are added to others.

    Args:
        records: Envelope key → records.
        present: Returns the record under an envelope key with an id, if there is one.

    Raises:
        UsageError: The records have another shape, a key or a field is unknown, a value is of the wrong type, or a
            reference dangles.
    """
    _shape(records)
    given: dict[str, dict[str, Record]] = {}
    for key, rows in records.items():
        for row in rows:
            check(key, row)
            given.setdefault(key, {})[str(row.get("id"))] = row

    def found(key: str, identity: str) -> Record | None:
        return given.get(key, {}).get(identity) or present(key, identity)

    errors: list[str] = []
    for key, rows in records.items():
        for number, row in enumerate(rows):
            label = f"{key}[{number}]"
            errors += _wrong_values(key, row, label)
            errors += _dangling(key, label, row, found)
            if _above_itself(key, row, found):
                errors.append(f"{label}: `parent_id` is the record itself, or below it")
    if errors:
        raise UsageError(f"The records do not fit the contract: {'; '.join(errors)}.", consequence="")


def _shape(records: Any) -> None:
    """Check that records are lists of objects by envelope key, with ids that are numbers or text."""
    if not isinstance(records, Mapping):
        raise UsageError(_SHAPE, consequence="")
    for given in cast("Mapping[str, Any]", records).values():
        if isinstance(given, str | Mapping) or not isinstance(given, Iterable):
            raise UsageError(_SHAPE, consequence="")
        for row in cast("Iterable[Any]", given):
            if not isinstance(row, Mapping) or not isinstance(
                cast("Mapping[str, Any]", row).get("id"), str | int | None
            ):
                raise UsageError(_SHAPE, consequence="")


_SHAPE = (
    'Records must be lists of objects by envelope key, such as {"users": [{"id": 1, "full_name": "Ada"}]}.'
)


def _unknown_key(key: str) -> str:
    near = get_close_matches(key, keys(), 1)
    return f"`{key}` is not an envelope key{f'; did you mean `{near[0]}`?' if near else ''}"


@cache
def _fields(key: str) -> frozenset[str]:
    """The fields that a record may have; no fields if the contract does not describe the type."""
    model = schema.model(key)
    if not model.kinds:
        return frozenset()
    references = (reference.ids for reference in model.references.values())
    others = (*schema.TIMES, *schema.UNSHOWN.get(key, ()), *schema.INTERNAL.get(key, ()))
    return frozenset({"id", *model.kinds, *model.optional, *references, *others})


def known(key: str, field: str) -> bool:
    """Whether the records under an envelope key may have a field."""
    return field in _fields(key)


def _unknown_fields(key: str, record: Mapping[str, Any], label: str) -> list[str]:
    allowed = _fields(key)
    errors: list[str] = []
    for field in record:
        if allowed and field not in allowed:
            near = get_close_matches(str(field), allowed, 1)
            errors.append(f"{label}: no field `{field}`{f'; did you mean `{near[0]}`?' if near else ''}")
    return errors


def _record(key: str, row: Mapping[str, Any], now: str, label: str, errors: list[str]) -> Record:
    model = schema.model(key)
    errors += _unknown_fields(key, row, label)
    made: dict[str, Any] = {**blank(key), **dict.fromkeys(schema.TIMES, now)}
    errors += _wrong_values(key, row, label)
    made |= {field: _typed(model.kinds.get(field, "Any"), value) for field, value in row.items()}
    made["id"] = str(row["id"])
    return made


def _wrong_values(key: str, row: Mapping[str, Any], label: str) -> list[str]:
    """The errors about values that are not of the types of their fields."""
    kinds = schema.model(key).kinds
    errors = [
        f"{label}: `{field}` must be of type {kinds[field]}, got {value!r}"
        for field, value in row.items()
        if field in kinds and field != "id" and not _fits(kinds[field], _typed(kinds[field], value))
    ]
    identity = row.get("id")
    if identity is not None and (isinstance(identity, bool) or not _ID.fullmatch(str(identity))):
        errors.append(
            f"{label}: `id` must be a number, or a text without spaces, commas and slashes, got {identity!r}"
        )
    return errors


def _typed(kind: str, value: Any) -> Any:
    return schema.typed(kind, _boolean(value) if kind == "bool" else value)


def _cycles(key: str, rows: dict[str, Record]) -> list[str]:
    """The errors about records that are above themselves; the ancestors of the others are completed."""
    errors: list[str] = []
    for identity, record in rows.items():
        above: list[str] = []
        parent = record.get("parent_id")
        while parent is not None and str(parent) in rows and str(parent) not in above:
            above.append(str(parent))
            parent = rows[above[-1]].get("parent_id")
        if identity in above:
            errors.append(f"{key} {identity}: `parent_id` is the record itself, or below it")
        elif above and "ancestor_ids" in record and not record["ancestor_ids"]:
            tree = {"root_id": above[-1], "ancestry_depth": len(above)} if key == "stories" else {}
            rows[identity] = {**record, **tree, "ancestor_ids": above[::-1]}
    return errors


def _boolean(value: Any) -> Any:
    return {"true": True, "false": False}.get(value.lower(), value) if isinstance(value, str) else value


def _fits(kind: str, value: Any) -> bool:
    if value is None:
        return True
    if isinstance(value, list):
        return all(_fits(kind, item) for item in cast("list[Any]", value))
    match kind:
        case "str":
            return isinstance(value, str) and schema.is_text(value)
        case "date":
            return schema.is_date(value)
        case "datetime":
            return schema.is_time(value)
        case "int":
            return not isinstance(value, (str, float)) and schema.is_integer(value)
        case "float":
            return not isinstance(value, str) and schema.is_number(value)
        case "bool":
            return isinstance(value, bool)
        case _:
            return True


def _above_itself(key: str, record: Record, found: Callable[[str, str], Record | None]) -> bool:
    """Whether a record is among those above it."""
    identity, seen, above = str(record.get("id")), set[str](), record
    while above is not None and (parent := above.get("parent_id")) is not None and str(parent) not in seen:
        if str(parent) == identity:
            return True
        seen.add(str(parent))
        above = found(key, str(parent))
    return False


def _dangling(key: str, label: str, record: Record, found: Callable[[str, str], Record | None]) -> list[str]:
    """The errors about references of a record to records that do not exist."""
    errors: list[str] = []
    for reference in schema.model(key).references.values():
        if reference.key is None or reference.key in _FREE:
            continue
        held: Any = record.get(reference.ids)
        items = cast("list[Any]", held) if isinstance(held, list) else [held]
        errors += [
            f"{label}: `{reference.ids}` names no record of {reference.key}: {item}"
            for item in items
            if item is not None and found(reference.key, str(item)) is None
        ]
    return errors
