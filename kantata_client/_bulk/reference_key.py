"""The key of a bulk creation: the external reference by which each item exists once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, cast

import attrs

from kantata_client._objects.model import Model
from kantata_client._objects.scalars import MissingError, native
from kantata_client.errors import UsageError


@attrs.frozen
class ExternalReferenceKey:
    """What makes each item of `create_many` exactly one object, however often the input is sent.

    With a key, `create_many` looks for every item before it creates it, and returns what exists already (`Outcome.found`). A
    rerun after a crash creates what is missing and nothing else.

    Two limits remain, because the service does not enforce unique references. Programs that create the same references at
    the same time can both create them. And an object that appears later than `patience` seconds after a request broke, or
    that a crashed program sent just before its rerun, is not seen in time. Run one program at a time, and wait some minutes
    before a rerun.
    """

    service_name: str
    """The other system, such as `erp`: one name for all references that come from it."""
    service_model: str
    """What the object is called there, such as `invoice_line`."""
    ref: str | Callable[[Any], object]
    """The object's id there: the name of the item's field that holds it (which is only sent if the API has a field of that
    name), or a function of the item. It must not contain a comma, which separates references in a search."""
    patience: float = 30.0
    """For how many seconds to look for objects whose creation lost its answer before they are created again. The service
    works on a request for 180 seconds at most."""
    attempts: int = 4
    """How often to create an object that lost its answer and does not appear; after that, its outcome is `unknown`."""

    def check(self) -> None:
        """Check the values.

        Raises:
            UsageError: One is invalid.
        """
        for name in ("service_name", "service_model"):
            value: object = getattr(self, name)
            if not isinstance(value, str) or not value or value != value.strip() or not value.isprintable():
                raise UsageError(
                    f"ExternalReferenceKey: {name} must be a name without blanks around it, not {value!r}"
                )
        ref: Any = self.ref
        if not callable(ref) and not (isinstance(ref, str) and ref):
            raise UsageError(
                f"ExternalReferenceKey: ref must be the name of a field or a function, not {ref!r}"
            )
        patience: Any = self.patience
        if (
            isinstance(patience, bool)
            or not isinstance(patience, (int, float))
            or not 0 <= patience < math.inf
        ):
            raise UsageError(f"ExternalReferenceKey: patience must be a number of seconds, not {patience!r}")
        attempts: Any = self.attempts
        if isinstance(attempts, bool) or not isinstance(attempts, int) or attempts < 1:
            raise UsageError(f"ExternalReferenceKey: attempts must be a number from 1, not {attempts!r}")


def keyed(key: ExternalReferenceKey, fields: Mapping[str, Any], item: object, where: str) -> tuple[str, Any]:
    """The reference of an item, and the item with it.

    Args:
        key: Where the reference is.
        fields: The properties that the creation accepts.
        item: A mapping or a model; anything else is returned unchanged, to be refused later.
        where: Position of the item, such as `stories.create_many: items[7]`, for errors.

    Raises:
        UsageError: The item has no usable reference, or it has a different one already.
    """
    if isinstance(item, Model):
        given: dict[str, Any] = {name: value for name, value in item.to_dict().items() if name in fields}
        known: Mapping[str, Any] = item.to_dict()
    elif isinstance(item, Mapping):
        known = cast("Mapping[str, Any]", item)
        given = dict(known)
    else:
        return "", item
    if isinstance(key.ref, str):
        if key.ref not in known:
            raise UsageError(f"{where} has no {key.ref!r}, which the key uses as its external reference")
        value: object = known[key.ref]
        if key.ref not in fields:
            given.pop(key.ref, None)
    else:
        value = key.ref(item)
    try:
        value = native(value)
    except MissingError as missing:
        raise UsageError(f"{where} has the external reference {missing}, a missing value") from None
    ref = str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    if not ref or ref != ref.strip() or "," in ref or not ref.isprintable():
        raise UsageError(
            f"{where} has the external reference {value!r}; it must be a number, or a string without commas and without "
            "blanks around it"
        )
    reference = {
        "service_name": key.service_name,
        "service_model": key.service_model,
        "service_model_ref": ref,
    }
    own: Any = given.get("external_reference")
    if isinstance(own, Mapping):
        own = cast("Mapping[str, Any]", own)
        for name, wanted in reference.items():
            if name in own and str(own[name]) != wanted:
                raise UsageError(
                    f"{where} has an external_reference whose {name} is {own[name]!r}, not {wanted!r}"
                )
        reference = {**own, **reference}
    given["external_reference"] = reference
    return ref, given
