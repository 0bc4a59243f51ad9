"""Drift: differences between the service's objects and the contract. They break nothing; they are counted and reported.

The first response of an operation is checked completely, and later ones by a sample; with `on_drift="raise"`, all of them
are checked completely. msgspec checks an object against types made from the model's annotations; only an object that fails
is checked field by field.
"""

from __future__ import annotations

import builtins
import logging
import re
import sys
from datetime import date, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

from kantata_client._lazy import resolvable
from kantata_client._objects.model import annotation_of
from kantata_client.errors import MalformedResponseError, UsageError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from kantata_client._calls.drift_row import DriftRow
    from kantata_client._contract import Operation
    from kantata_client._objects.model import Model

OnDrift: TypeAlias = Literal["warn", "raise", "ignore"]

logger = logging.getLogger("kantata_client")

_NOTHING: Mapping[str, object] = {}
_PATTERN_LENGTH = 24
_PLAIN = ""
"""The key under which objects are checked that came without an envelope."""
_MOST_ROWS = 1_000
_LONGEST_NAME = 80
_IDENTIFIER = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|[0-9a-fA-F]{24,}|\d+")
"""An id within a name: a UUID, a long hexadecimal number, or digits."""
_SIDELOAD_INTERVAL = 8
"""One of so many responses has an object of each type of sideload checked."""


@resolvable
class Drift:
    """The differences noticed so far. Iterate over it for the rows, print it for a table."""

    def __init__(self, on_drift: OnDrift) -> None:
        self._rows: dict[tuple[str, str], DriftRow] = {}
        if on_drift not in ("warn", "raise", "ignore"):
            raise UsageError(f"on_drift must be 'warn', 'raise' or 'ignore', not {on_drift!r}")
        self._on_drift: OnDrift = on_drift
        self._known_operations: set[str] = set()
        self._responses = 0
        self.unlisted = 0
        """How many differences came after the table was full, with 1,000 rows."""
        self._found: dict[tuple[str, str], None] = {}
        """The differences in the current response, by model and field."""

    def __iter__(self) -> Iterator[DriftRow]:
        return iter(list(self._rows.values()))  # a request under way may add to it

    def __len__(self) -> int:
        return len(self._rows)

    def __bool__(self) -> bool:
        return bool(self._rows)

    def __repr__(self) -> str:
        return f"<Drift: {len(self)} differences from the contract>"

    def __str__(self) -> str:
        if not self._rows:
            return "no differences from the contract"
        head = ("model", "field", "contract", "received", "times", "first seen in", "request id")
        rows = [
            (
                row.model,
                row.field,
                row.expected,
                row.received,
                str(row.times),
                row.operation,
                row.request_id or "",
            )
            for row in self
        ]
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        lines = [head, tuple("-" * width for width in widths), *rows]
        table = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        ]
        table += [
            f"{row.model}.{row.field} stands for names that contain an id, such as {', '.join(row.examples)}"
            for row in self
            if row.examples
        ]
        if self.unlisted:
            table.append(
                f"{self.unlisted} more differences came after {_MOST_ROWS:,} rows and are not listed"
            )
        return "\n".join(table)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the table as JSON; `python -m codegen drift` in this project's repository turns it into corrections.

        Args:
            path: The file; an existing one is replaced.
        """
        import json

        rows = [
            {
                "model": row.model,
                "field": row.field,
                "expected": row.expected,
                "received": row.received,
                "operation": row.operation,
                "times": row.times,
            }
            for row in self
        ]
        with open(path, "w", encoding="utf-8") as file:  # noqa: PTH123 - any path-like
            json.dump({"drift": rows}, file, indent=2, ensure_ascii=False)
            file.write("\n")

    @property
    def ignored(self) -> bool:
        """Whether checking is off."""
        return self._on_drift == "ignore"

    def check(
        self,
        objects: dict[str, Any],
        class_under: Callable[[str], type[Model]],
        operation: Operation,
        request_id: str | None,
        *,
        items: Sequence[Model] = (),
        requested: Sequence[str] = (),
        missing: Sequence[object] = (),
        unmapped: Mapping[str, object] = _NOTHING,
    ) -> None:
        """Check the objects of a response.

        Args:
            objects: Envelope key → id → object, as received.
            class_under: Returns the class for an envelope key.
            operation: The operation that was sent.
            request_id: The id of the request.
            items: The results.
            requested: Fields that the request asked for, so each result should have them.
            missing: References in `results` whose objects are not in the response.
            unmapped: Envelope key → a value that is not a map by id.

        Raises:
            MalformedResponseError: There is a difference, and `on_drift` is `"raise"`.
        """
        if self.ignored:
            return
        self._found = {}
        everything = self._on_drift == "raise" or operation.id not in self._known_operations
        self._known_operations.add(operation.id)
        self._responses += 1
        for key, value in objects.items():
            main = key in (operation.key, _PLAIN)
            sampled = everything or main or self._responses % _SIDELOAD_INTERVAL == 0
            if type(value) is not dict or not sampled:
                continue
            mapping = cast("dict[str, Any]", value)
            start = self._responses % (len(mapping) or 1)
            cls = class_under(key)
            if not cls.FIELDS:
                self.note("envelope", key, "no such key", mapping, operation, request_id)
                continue
            for received in mapping.values() if everything else islice(mapping.values(), start, start + 1):
                self._check_object(received, cls, operation, request_id)
        if requested and items:
            start = self._responses % len(items)
            for item in items if everything else items[start : start + 1]:
                for field in requested:
                    if field not in item.__dict__ and type(item).__name__ == operation.model:
                        self.note(
                            type(item).__name__,
                            field,
                            "present, since the request asked for it",
                            ABSENT,
                            operation,
                            request_id,
                        )
        for reference in missing:
            self.note(
                "envelope", "results", "the ids of objects in the response", reference, operation, request_id
            )
        for key, value in unmapped.items():
            self.note("envelope", key, "a map by id", value, operation, request_id)
        if self._on_drift == "raise" and self._found:
            found = ", ".join(f"{model}.{field}" for model, field in self._found)
            msg = f"{operation.id}: the response differs from the contract ({found}), and on_drift is 'raise'.\n{self}"
            raise MalformedResponseError(
                msg, method=operation.method, path=operation.path, request_id=request_id
            )

    def check_plain(
        self, objects: list[Any], cls: type[Model], operation: Operation, request_id: str | None
    ) -> None:
        """Check objects that came without an envelope."""
        self.check({_PLAIN: dict(enumerate(objects))}, lambda _: cls, operation, request_id)

    def note(
        self,
        model: str,
        field: str,
        expected: str,
        received: object,
        operation: Operation,
        request_id: str | None,
    ) -> None:
        """Count a difference, and log it if it is new."""
        name, field = field, _folded(field) if expected in _UNKNOWN else field
        self._found[model, field] = None
        row = self._rows.get((model, field))
        if row is None and len(self._rows) >= _MOST_ROWS:
            self.unlisted += 1
            if self.unlisted == 1 and self._on_drift == "warn":
                logger.warning("%s kinds of drift are listed; further ones are only counted", _MOST_ROWS)
            return
        if row is not None:
            row.times += 1
            if name != field:
                row.see(name)
            return
        from kantata_client._calls.drift_row import DriftRow  # imports attrs, which start-up should not

        shown = "absent" if received is ABSENT else kind_of(received)
        row = self._rows[model, field] = DriftRow(model, field, expected, shown, operation.id, request_id)
        if name != field:
            row.see(name)
        if self._on_drift == "warn":
            logger.warning(
                "%s: the service differs from the contract: %s.%s should be %s, but is %s (request id %s); logged once",
                operation.id, model, field, expected, shown, request_id,
            )  # fmt: skip

    def _check_object(
        self, received: Any, cls: type[Model], operation: Operation, request_id: str | None
    ) -> None:
        import msgspec

        types = _types_of(cls)
        if type(received) is not dict:
            self.note(cls.__name__, "(itself)", "an object", received, operation, request_id)
            return
        fields = cast("dict[str, Any]", received)
        try:
            msgspec.convert(fields, types.whole)
        except (msgspec.ValidationError, ValueError, OverflowError):
            for name, expected in types.fields.items():
                if fields.get(name) is None:
                    continue
                try:
                    msgspec.convert(fields[name], expected)
                except (msgspec.ValidationError, ValueError, OverflowError):
                    text = annotation_of(cls, name).removesuffix(" | None")
                    self.note(cls.__name__, name, text, fields[name], operation, request_id)
        if not fields.keys() <= types.fields.keys():
            for name in fields.keys() - types.fields.keys():
                self.note(cls.__name__, name, "no field", fields[name], operation, request_id)


_UNKNOWN = ("no field", "no such key")
"""`expected` for names that are not in the contract: only these can contain an id."""


def _folded(name: str) -> str:
    """The name with `{id}` for each id in it, and shortened."""
    pattern = _IDENTIFIER.sub("{id}", name)
    return pattern if len(pattern) <= _LONGEST_NAME else f"{pattern[:_LONGEST_NAME]}…"


ABSENT = object()
"""Stands for a field that was not received."""


class _Types:
    """The types that msgspec checks an object and its fields against."""

    __slots__ = ("fields", "whole")

    def __init__(self, whole: Any, fields: dict[str, Any]) -> None:
        self.whole = whole
        self.fields = fields


_known_types: dict[type[Model], _Types] = {}


class _Names(dict[str, Any]):
    """The types for msgspec by the names in a model's annotations."""

    def __init__(self, module: str) -> None:
        super().__init__(date=date, datetime=datetime)
        self._module = vars(sys.modules[module])

    def __missing__(self, name: str) -> Any:
        value = self._module.get(name)
        if isinstance(value, type) and hasattr(value, "FIELDS"):
            return _types_of(cast("type[Model]", value)).whole
        return vars(builtins)[name]


def _types_of(cls: type[Model]) -> _Types:
    """The types of a class, created once."""
    types = _known_types.get(cls)
    if types is None:
        from msgspec import defstruct

        names = _Names(cls.__module__)
        # The annotations are generated code of this package.
        fields = {name: eval(annotation_of(cls, name), {}, names) | None for name in cls.FIELDS}  # noqa: S307
        whole = defstruct(cls.__name__, [(name, kind, None) for name, kind in fields.items()])
        types = _known_types[cls] = _Types(whole, fields)
    return types


def kind_of(value: object) -> str:
    """The kind of a value, which reveals nothing of the value itself."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int():
            return "a whole number"
        case float():
            return "a number"
        case str():
            if not value:
                return "empty text"
            start = value[:_PATTERN_LENGTH]
            pattern = "".join("9" if c.isdigit() else "a" if c.isalpha() else c for c in start)
            return f"text like {pattern!r}{'…' if len(value) > _PATTERN_LENGTH else ''}"
        case list():
            return "an array"
        case dict():
            return "an object"
        case _:
            return type(value).__name__
