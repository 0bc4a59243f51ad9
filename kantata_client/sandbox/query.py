"""The query of a request: its parameters, checked against the contract, and the ids that they select."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import attrs

from kantata_client._contract import Operation, Parameter
from kantata_client.sandbox import registry, schema
from kantata_client.sandbox.filters import selection
from kantata_client.sandbox.filters.makers import BOOLEANS
from kantata_client.sandbox.filters.search import score, words
from kantata_client.sandbox.listings import (
    ColumnListing,
    Descending,
    Listing,
    Reads,
    by_id,
    grouped,
    in_order,
)
from kantata_client.sandbox.records import Record, listed
from kantata_client.sandbox.refusals import Refusal, bad_request, invalid
from kantata_client.sandbox.scope import Scope

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from kantata_client.sandbox.listings import Rank

LARGEST_PAGE = 200
"""Maximum number of records on a page."""
PAGE_SIZE = 20
"""Default number of records on a page."""

SHAPING = frozenset({"include", "optional_fields", "page", "per_page", "limit", "offset", "order", "only"})
"""Parameters that shape the answer; the others are filters, or belong to a custom operation."""


@attrs.frozen
class Query:
    """The parsed query parameters of a request."""

    include: tuple[str, ...] = ()
    optional: frozenset[str] = frozenset()
    only: tuple[str, ...] | None = None
    order: str | None = None
    filters: tuple[tuple[str, str], ...] = ()
    """(parameter, value) of the filters and other parameters of the operation, sorted by name."""
    offset: int = 0
    limit: int = PAGE_SIZE
    number: int = 1
    """Page number, from 1."""
    default_filters: bool = True
    """Whether the default filters apply."""


def parse(operation: Operation, sent: Iterable[tuple[str, str]], *, strict: bool = True) -> Query:
    """Check the query against the contract: unknown names and values of a wrong type are refused with 400.

    A list may come as `a,b` or as `name[]=a&name[]=b`.

    Args:
        operation: What the request is for.
        sent: Its query.
        strict: Whether to refuse pages of a list that the contract does not describe as paged.
    """
    values: dict[str, str] = {}
    for name, value in sent:
        name = name.removesuffix("[]")
        values[name] = f"{values[name]},{value}" if name in values else value
    declared = accepted_parameters(operation)
    if operation.result == "page" and not strict:
        declared = {"page": Parameter("integer"), "per_page": Parameter("integer"), **declared}
    for name, value in values.items():
        if name not in declared:
            raise bad_request(f"{operation.id} takes no query parameter `{name}`.")
        if not value.strip():
            raise bad_request(f"`{name}` is empty: leave it out, or give it a value.")
        _check(name, value, declared[name])
    missing = [
        name for name, parameter in operation.query.items() if parameter.required and name not in values
    ]
    if missing:
        raise Refusal(
            422, *(invalid(name, f"is missing: {operation.id} needs `{name}`.") for name in missing)
        )
    number, offset, limit = _window(values)
    return Query(
        include=_words(values.get("include")),
        optional=frozenset(_words(values.get("optional_fields"))),
        only=_words(values["only"]) if "only" in values else None,
        order=values.get("order"),
        filters=tuple(sorted((name, value) for name, value in values.items() if name not in SHAPING)),
        offset=offset,
        limit=limit,
        number=number,
    )


def accepted_parameters(operation: Operation) -> Mapping[str, Parameter]:
    """The parameters an operation accepts: its own and, for a get by id, the filters of the list."""
    parameters = dict(operation.query)
    if operation.result == "page":
        parameters |= {"limit": Parameter("integer"), "offset": Parameter("integer")}
    elif operation.name == "get" and operation.key is not None:
        listing = schema.list_of(operation.key)
        if listing is not None:
            filters = {name: p for name, p in listing.query.items() if name not in SHAPING}
            parameters = filters | parameters
    return parameters


def _check(name: str, value: str, parameter: Parameter) -> None:
    if name == "order" or parameter.kind == "any":
        return
    items = _words(value) if parameter.many or name in {"include", "only"} else (value,)
    for item in items:
        if parameter.values and item not in parameter.values:
            raise bad_request(f"`{name}` does not take {item!r}; it takes {', '.join(parameter.values)}.")
        if not _fits(item, parameter.kind):
            raise bad_request(f"`{name}` has to be of type {parameter.kind}, not {item!r}.")


def _fits(value: str, kind: str) -> bool:
    try:
        match kind:
            case "integer":
                return schema.is_integer(value)
            case "number":
                return schema.is_number(value)
            case "boolean":
                return value in BOOLEANS
            case "date":
                return schema.is_date(value)
            case "datetime":
                return schema.is_time(value)
            case _:
                pass
    except ValueError:
        return False
    return True


def _window(values: Mapping[str, str]) -> tuple[int, int, int]:
    """Page number, offset and page size. A size above 200 is refused with 400."""
    try:
        numbers = {
            name: _whole(values[name]) for name in ("page", "per_page", "limit", "offset") if name in values
        }
    except ValueError as error:
        raise bad_request("page, per_page, limit and offset are whole numbers.") from error
    if "limit" in numbers and "offset" in numbers:  # one of them alone has no effect
        size, offset = numbers["limit"], numbers["offset"]
        number = offset // max(size, 1) + 1
    else:
        size, number = numbers.get("per_page", PAGE_SIZE), numbers.get("page", 1)
        offset = (number - 1) * size
    if not 1 <= size <= LARGEST_PAGE or number < 1 or offset < 0:
        raise bad_request(f"A page has 1 to {LARGEST_PAGE} records; pages count from 1, offsets from 0.")
    return number, offset, size


def _whole(value: str) -> int:
    if not schema.is_integer(value):
        raise ValueError(value)
    return int(value)


def select(scope: Scope, operation: Operation, key: str, query: Query) -> Sequence[str]:
    """The ids of all records that match the query, in its order."""
    search = Search(scope, operation, key, query)
    if query.only is not None:
        return search()
    what = (operation.id, key, scope.viewer, query.order, query.filters, query.default_filters)
    return scope.store.remembered(what, search)


def prepare(scope: Scope, operation: Operation, key: str) -> Iterator[float]:
    """Make the columns of a large list beforehand, so that the first page of a query takes no longer than others.

    Yields the share that is made, 0 to 1.
    """
    order = operation.query.get("order")
    queries = [Query(order=value) for value in (order.values if order is not None else ())]
    queries += [
        Query(filters=((name, SAMPLES[parameter.kind]),))
        for name, parameter in operation.query.items()
        if name not in SHAPING
    ]
    for done, query in enumerate(queries, 1):
        Search(scope, operation, key, query)()
        yield done / len(queries)


SAMPLES: Mapping[str, str] = {
    "boolean": "true",
    "integer": "0",
    "number": "0",
    "date": "2026-01-01",
    "datetime": "2026-01-01T00:00:00Z",
    "string": "2026-01-01:2026-01-01",
    "any": "0",
}
"""Kind of a parameter → a value that it takes; of a string, one that a range of dates takes as well."""


@attrs.frozen(eq=False)
class Search:
    """A search; calling it runs it without keeping the listing."""

    scope: Scope
    operation: Operation
    key: str
    query: Query

    def __call__(self) -> Sequence[str]:
        """The ids of the matching records."""
        return self.listing(self.scope.store, Reads()).ids

    def listing(self, store: Any, reads: Reads) -> Listing | ColumnListing:
        """Run the search as a listing: `store` is read, and `reads` records what was read."""
        scope = attrs.evolve(self.scope, store=store)
        return _listing(scope, self.operation, self.key, self.query, reads)


def _listing(
    scope: Scope, operation: Operation, key: str, query: Query, reads: Reads
) -> Listing | ColumnListing:
    values = dict(query.filters)
    matches = selection.matches(
        scope, operation, key, values, query.only, default_filters=query.default_filters
    )
    deleted = selection.includes_deleted(values)
    if deleted:
        reads.whole.add(key)
    sorting, descending = _sorting_of(scope, operation, key, query)
    store = scope.store.plain

    def belongs(record: Mapping[str, Any]) -> bool:
        return all(match.allows(record) for match in matches)

    columns = None if deleted or query.only is not None else store.columns(key)
    if columns is not None and (
        sorting is None or (sorting.field is not None and columns.numbers(sorting.field) is not None)
    ):
        bits = selection.positions(store, key, columns, matches)
        order = None if sorting is None else sorting.field
        return ColumnListing(key, columns, bits, order, descending, reads, belongs, store.records(key))
    rank = None if sorting is None else sorting.rank
    if columns is not None:
        ranked = selection.by_columns(store, key, columns, matches, rank or _unranked)
    else:
        few = deleted or query.only is not None
        ranked = selection.select(store, key, matches, rank or _unranked, deleted=deleted, indexed=not few)
    ids = in_order(grouped(ranked), descending)

    def rank_of(record: Mapping[str, Any]) -> Rank:
        value = None if rank is None else rank(record)
        return (Descending(value) if descending else value or 0), by_id(record)

    return Listing(key, ids, reads, belongs, rank_of)


def _unranked(record: Record) -> None:
    """The rank of all records in an order by id."""


@attrs.frozen
class _Sorting:
    """The sort key of an order."""

    rank: Callable[[Record], Any]
    field: str | None = None
    """The field of which the key is the value, if so."""


def _sorting_of(scope: Scope, operation: Operation, key: str, query: Query) -> tuple[_Sorting | None, bool]:
    """The sort key (None: by id), and whether to sort in descending order."""
    order, declared = query.order, operation.query.get("order")
    searched = dict(query.filters).get("search")
    if order == "search" or (order is None and searched is not None):
        if searched is None:
            return None, False
        terms = words(searched)
        return _Sorting(lambda record: score(terms, record)), True
    if order is not None and declared is not None and declared.values and order not in declared.values:
        custom = re.fullmatch(r"custom_field:\d+:(asc|desc)", order) is not None
        if not custom or not any(value.startswith("custom_field:") for value in declared.values):
            raise bad_request(f"`order` does not take {order!r}; it takes {', '.join(declared.values)}.")
    if order is None:
        default = None if declared is None or declared.default is None else str(declared.default)
        sorting = None if default is None else _sorting(scope, key, default)
        return sorting, sorting is not None and default is not None and default.lower().endswith(":desc")
    sorting = _sorting(scope, key, order)
    if sorting is None:
        scope.lacks(f"the order {order!r} of {operation.id}")
        return None, False
    return sorting, order.lower().endswith(":desc")


_ORDERS: Mapping[str, tuple[str, ...]] = {
    "alphabetical": ("title", "full_name", "name", "label"),
    "alphabetically": ("title", "full_name", "name", "label"),
    "parent_and_position": ("position",),
    "importance": ("position",),
    "priority_level": ("priority",),
    "task_status_set": ("task_status_set_name",),
    "is_budgeted": ("budgeted",),
    "date": ("date", "start_date"),
    "amount": ("amount_in_cents", "line_item_total_in_cents"),
    "default": ("id",),
}
_ORDERS_ELSEWHERE: Mapping[str, tuple[str, str, str]] = {
    "user_name": ("user_id", "users", "full_name"),
    "full_name": ("user_id", "users", "full_name"),
    "skill_name": ("skill_id", "skills", "name"),
    "vendor_name": ("vendor_id", "vendors", "name"),
    "workspace_title": ("workspace_id", "workspaces", "title"),
    "color_name": ("account_color_id", "account_colors", "name"),
}
_PRIORITIES = {"low": 0, "normal": 1, "high": 2, "critical": 3}


def _sorting(scope: Scope, key: str, order: str) -> _Sorting | None:
    """The sort key for an order such as `due_date:asc`, nulls first; None if the order is not emulated."""
    name = order.partition(":")[0].lower()
    declared = registry.resource(key).orders.get(name)
    if declared is not None:
        return _Sorting(lambda record: _rank(declared(scope, record)))
    if name == "custom_field":
        values = _custom_values(scope, key, order.split(":")[1])
        return _Sorting(lambda record: _rank(values.get(record["id"])))
    kinds = schema.model(key).kinds
    for field in (*_ORDERS.get(name, ()), name, f"{name}_in_cents", f"{name}_date", f"{name}_at"):
        if field == "priority":
            return _Sorting(lambda record: _PRIORITIES.get(str(record.get("priority")), -1))
        if field == "id":
            return _Sorting(lambda record: _number(record["id"]))
        if (
            field in schema.TIMES
            or (field == "status" and field in kinds)
            or kinds.get(field) in schema.SCALARS
        ):
            if name == "parent_and_position":
                return _Sorting(
                    lambda record: (_number(record.get("parent_id")), _number(record.get("position")))
                )
            return _by_field(field)
    if name in _ORDERS_ELSEWHERE:
        link, target, field = _ORDERS_ELSEWHERE[name]
        if link in kinds:
            return _Sorting(
                lambda record: _rank((scope.store.get(target, record.get(link)) or {}).get(field))
            )
    return None


def _by_field(field: str) -> _Sorting:
    return _Sorting(lambda record: _rank(record.get(field)), field)


def _custom_values(scope: Scope, key: str, field: str) -> dict[str, Any]:
    """The values of a custom field by record id; the first of several choices."""
    values: dict[str, Any] = {}
    for row in scope.store.where("custom_field_values", "custom_field_id", field):
        about: dict[str, str] = row.get("subject_ref") or {}
        if about.get("key") == key:
            values[about["id"]] = next(iter(listed(row.get("value"))), None)
    return values


def _rank(value: Any) -> tuple[int, float, str]:
    if isinstance(value, dict):  # the status of a workspace
        value = cast("dict[str, Any]", value).get("key")
    if value is None:
        return 0, 0, ""
    return (2, 0, value.casefold()) if isinstance(value, str) else (1, float(value), "")


def _number(value: Any) -> int:
    text = str(value or 0)
    return int(text) if text.isdigit() else 0


def _words(value: str | None) -> tuple[str, ...]:
    return tuple(word.strip() for word in value.split(",") if word.strip()) if value else ()
