"""Which created object belongs to which item: proved by what the objects repeat of the items, not by their order alone."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, TypeAlias

from kantata_client.errors import MalformedResponseError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kantata_client._objects.model import Model

_Value: TypeAlias = str | Decimal | bool | None
"""A value of a field; `None` if it is not a plain one."""

_LISTED = 10
"""How many ids an error lists."""

_DATE = re.compile(r"\d{4}-\d\d-\d\d")


class UnassignedError(MalformedResponseError):
    """Items were created, but which object belongs to which item is unknown."""

    def __init__(
        self, operation: str, objects: Sequence[Model], *, method: str, path: str, request_id: str | None
    ) -> None:
        ids = [str(each.to_dict().get("id")) for each in objects]
        listed = ", ".join(ids[:_LISTED]) + (", …" if len(ids) > _LISTED else "")
        message = (
            f"{operation}: the items of this request were created, but which is which is unknown: the objects in "
            f"the answer do not repeat the values of the items in the same order (ids {listed}). They are in `objects` of "
            "this error. Compare them with the items; do not send the items again."
        )
        super().__init__(message, method=method, path=path, request_id=request_id)
        self.objects = list(objects)
        """The objects that were created."""


def in_order(sent: Sequence[Mapping[str, Any]], received: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the received objects can be those of the sent items, one by one.

    Fields that the objects repeat are compared. A service may change a value when it stores it (round it, shorten it). That
    alone does not mean another order, so the other fields have to tell the items apart.

    Args:
        sent: The items, as they were sent.
        received: As many objects, as they were received.

    Returns:
        False if the order differs, or cannot be determined.
    """
    changed: list[list[_Value]] = []
    repeated: list[list[_Value]] = []
    for name in {name: None for item in sent for name in item}:
        given = [_comparable(item.get(name)) for item in sent]
        found = [_comparable(each.get(name)) for each in received]
        numbers = any(isinstance(value, Decimal) for value in (*given, *found))
        pairs = [
            (_text(one, numbers), _text(other, numbers)) for one, other in zip(given, found, strict=True)
        ]
        known = [(one, other) for one, other in pairs if one is not None and other is not None]
        if all(one == other for one, other in known):
            if len(known) == len(given):
                repeated.append(given)
            continue
        if Counter(one for one, _ in pairs) == Counter(other for _, other in pairs):
            return False  # the same values, in another order
        changed.append(given)
    return not changed or _told_apart(changed, repeated)


def grouped(sent: Sequence[Mapping[str, Any]], fields: Sequence[str]) -> list[int]:
    """For each item the number of its group, from 0 in order of appearance; the items of a group agree in some fields.

    Args:
        sent: The items, as they were sent.
        fields: The fields; without any, each item is a group of its own.
    """
    if not fields:
        return list(range(len(sent)))
    numbers: dict[tuple[str | None, ...], int] = {}
    return [numbers.setdefault(identity(item, fields), len(numbers)) for item in sent]


def identity(item: Mapping[str, Any], fields: Sequence[str]) -> tuple[str | None, ...]:
    """The values of some fields, which are equal for items that agree in them."""
    return tuple(_text(_comparable(item.get(field)), numbers=False) for field in fields)


def _told_apart(changed: list[list[_Value]], repeated: list[list[_Value]]) -> bool:
    """Whether items that differ in fields that the service changed differ in a field that it repeated, too."""
    groups: dict[tuple[_Value, ...], tuple[_Value, ...]] = {}
    for row in zip(zip(*changed, strict=True), _rows(repeated, len(changed[0])), strict=True):
        own, others = row
        if groups.setdefault(others, own) != own:
            return False
    return True


def _rows(columns: list[list[_Value]], count: int) -> list[tuple[_Value, ...]]:
    return list(zip(*columns, strict=True)) if columns else [()] * count


def _comparable(value: object) -> _Value:
    if isinstance(value, bool):
        return value
    if isinstance(value, (int, float)):
        return Decimal(str(value))
    if isinstance(value, str):
        return value
    return None


def _text(value: _Value, numbers: bool) -> str | None:
    """A text that is the same for equal values: an id as number and as text, a time in two zones, text with other blanks."""
    if value is None or isinstance(value, bool):
        return None if value is None else str(value).lower()
    text = str(value)
    if numbers:
        try:
            return str(Decimal(text).normalize())
        except InvalidOperation:
            return text
    if _DATE.match(text):
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            return text
        if moment.tzinfo is not None:
            return str(moment.timestamp())
    return " ".join(unicodedata.normalize("NFC", text).split())
