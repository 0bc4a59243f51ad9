"""What the contract says of an operation, as plain data: written by codegen, read by the runtime and the sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeAlias

import attrs

Kind: TypeAlias = Literal[
    "string", "integer", "number", "boolean", "date", "datetime", "object", "file", "any"
]
"""The JSON type of a value; `any` is any JSON, `file` is bytes in a multipart form."""

Result: TypeAlias = Literal["page", "one", "many", "keyed", "object", "array", "none", "file"]
"""What a call gives back.

`page`: a walk over an envelope's results; `one`: the single result of an envelope; `many`: all results of one envelope;
`keyed`: the single object of a bare map by id; `object`: a plain JSON object; `array`: a bare JSON array of objects,
walked as one page; `none`: nothing; `file`: bytes.
"""


@attrs.frozen
class Parameter:
    """A query parameter, or a property of a body."""

    kind: Kind
    many: bool = False
    """A list: comma-separated in the query, an array in a body."""
    required: bool = False
    values: tuple[str, ...] = ()
    """What it accepts, where the contract lists it (of each item, when `many`)."""
    default: str | float | bool | None = None
    """What the service assumes when it is not sent."""
    maximum: float | None = None
    """Largest number, or, when `many`, most items."""
    range: Literal["date", "datetime"] | None = None
    """A text `START:END` that may be given as a pair of dates or times."""
    fields: Mapping[str, Parameter] | None = None
    """The properties of an `object`, where the contract lists them."""


@attrs.frozen
class Body:
    """The body of a write: `{wrapper: {property: value}}`, or `{property: value}` without a wrapper."""

    fields: Mapping[str, Parameter]
    wrapper: str | None = None
    plural: str | None = None
    """Key of the array form, `{plural: [{…}, …]}`, where the operation takes many objects at once."""
    multipart: bool = False
    """Sent as a multipart form (`wrapper[property]`) instead of JSON."""


@attrs.frozen
class Operation:
    """One operation of the contract; `kantata_client.api.OPERATIONS` has them all by `"METHOD /path"`."""

    method: str
    path: str
    """Below the base URL, with `{id}` placeholders, in the contract's spelling."""
    resource: str
    """The attribute of `Kantata` that it belongs to, such as `stories`."""
    name: str
    """The method of that resource, such as `list`."""
    summary: str
    tags: tuple[str, ...]
    result: Result
    model: str | None = None
    """Class in `kantata_client.models` of what it returns."""
    key: str | None = None
    """Envelope key of the results."""
    keys: Mapping[str, str] = attrs.field(factory=dict[str, str])
    """Envelope key → class in `kantata_client.models`, where it differs from `kantata_client.models.KEYS`."""
    path_parameters: tuple[str, ...] = ()
    query: Mapping[str, Parameter] = attrs.field(factory=dict[str, Parameter])
    body: Body | None = None
    bulk_limit: int | None = None
    """Most objects (bulk creation, bulk update) or ids (bulk deletion) in one request."""
    own_rate_limit: bool = False
    """Whether it has a rate limit of its own, in addition to the general one."""
    action: bool = False
    """A PUT that does something each time it is carried out (`split`, `approve`), so it is not repeated like other PUTs."""
    upsert: bool = False
    """A creation that changes an existing object, so that carrying it out twice does no harm."""
    identified_by: tuple[str, ...] = ()
    """The properties in which items of a bulk creation agree that are written into one object."""
    external_reference: bool = False
    """A creation that takes an `external_reference`, by which the resource's list filters."""
    widest: Mapping[str, bool] = attrs.field(factory=dict[str, bool])
    """Query parameters with which a list hides nothing by default, deleted objects aside."""
    stable_by: Literal["created_at", "updated_at"] | None = None
    """A list that can be walked without a loss (`Paginator.stable`), by the order of this field."""
    alternative: tuple[str, str] | None = None
    """(argument that asks for it, class in `kantata_client.models`) of a plain object that it can return instead."""

    @property
    def id(self) -> str:
        """`"METHOD /path"`: its key in `OPERATIONS`, and its name in errors and logs."""
        return f"{self.method} {self.path}"
