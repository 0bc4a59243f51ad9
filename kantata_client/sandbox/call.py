"""A parsed request to an operation, for the function that handles it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import attrs

from kantata_client.sandbox import envelopes, mutations, query, schema, validation
from kantata_client.sandbox.refusals import Refusal, bad_request, invalid
from kantata_client.sandbox.tolerance import tolerate_properties

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kantata_client._contract import Operation, Parameter
    from kantata_client.sandbox.query import Query
    from kantata_client.sandbox.scope import Scope


@attrs.frozen
class Document:
    """A response that is not JSON."""

    content: bytes
    media_type: str


Answer: TypeAlias = "dict[str, Any] | list[Any] | Document | None"
"""The result of an operation; None is a response without content."""


class Call:
    """A parsed request."""

    __slots__ = ("_unread", "body", "operation", "parameters", "query", "scope")

    def __init__(
        self, scope: Scope, operation: Operation, parameters: dict[str, str], parsed: Query, body: Any
    ) -> None:
        self.scope = scope
        self.operation = operation
        self.parameters = parameters
        self.query = parsed
        self.body = body
        self._unread = dict(parsed.filters)

    @property
    def key(self) -> str:
        """The envelope key of the results, or the collection in the path."""
        return schema.key_of(self.operation)

    @property
    def identity(self) -> str:
        """The id in the path: `7`, or `7:8` for a composite id."""
        return ":".join(self.parameters.values())

    def parameter(self, name: str) -> str | None:
        """The value of a query parameter that is not a filter."""
        return self._unread.pop(name, None)

    def select(self, operation: Operation, only: tuple[str, ...] | None) -> Sequence[str]:
        """The ids of the records that pass the filters of the query."""
        self._unread.clear()
        return query.select(self.scope, operation, self.key, attrs.evolve(self.query, only=only))

    def refuse_unread(self) -> None:
        """Refuse the request with 501 if one of its parameters was not used."""
        for name, value in self._unread.items():
            default = self.operation.query[name].default
            if default is None or str(default).lower() != value.lower():
                self.scope.lacks(f"the parameter `{name}` of {self.operation.id}")

    def envelope(self, ids: Sequence[str]) -> dict[str, Any]:
        """The records in an envelope."""
        return envelopes.envelope(self.scope, self.key, ids, self.query)

    def page(self, key: str, ids: Sequence[str]) -> dict[str, Any]:
        """The requested page of these records."""
        return envelopes.page(self.scope, key, ids, self.query)

    def item(self) -> dict[str, Any]:
        """The single object of the body."""
        if self.body is None:
            if self.operation.body is not None:
                raise bad_request(f"{self.operation.id} takes a JSON object as its body.")
            # The exchange tables have their properties in the query.
            return {name: _value(self.parameter(name), parameter) for name, parameter in self._sent()}
        [item], _ = validation.items_of(self.operation, self.body)
        return item

    def _sent(self) -> list[tuple[str, Parameter]]:
        return [(name, parameter) for name, parameter in self.operation.query.items() if name in self._unread]

    def fields(self) -> dict[str, Any]:
        """`item`, checked against the properties in the contract."""
        item = self.item()
        described: Mapping[str, Parameter] = self.operation.body.fields if self.operation.body else {}
        if not self.scope.strict:
            item = tolerate_properties(self.scope, self.operation, item, None)
        errors = [invalid(name, "is not a property of the body.") for name in item if name not in described]
        kept = validation.required_by_creation(self.operation.path.removesuffix("/{id}")) & item.keys()
        for name, parameter in described.items():
            problem = validation.wrong(name, item.get(name), parameter)
            if (parameter.required or name in kept) and validation.blank(item.get(name)):
                problem = "can't be blank."
            if problem is not None:
                errors.append(invalid(name, problem))
        if errors:
            raise Refusal(422, *errors)
        return item

    def existing(self) -> Mapping[str, Any]:
        """The record in the path, or 404."""
        return mutations.existing(self.scope, self.key, self.identity)

    def change(self, **changes: Any) -> dict[str, Any]:
        """Change the record in the path, and return it in an envelope."""
        self.existing()
        self.scope.store.change(self.key, self.identity, **changes)
        return self.envelope([self.identity])


def _value(given: str | None, parameter: Parameter) -> Any:
    """A query value as the JSON type of its parameter."""
    if given is None:
        return None
    match parameter.kind:
        case "boolean":
            return given in {"true", "1"}
        case "integer":
            return int(given)
        case _:
            return given
