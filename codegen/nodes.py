"""The intermediate representation: the contract as typed nodes, and each node knows its place in the contract.

`codegen.normalise` makes the nodes, the modules after it read them. A place is the keys and indices that lead to a part of
the contract file; `codegen.errors` turns it into a line.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal

import attrs

from kantata_client._contract import Result

Json = dict[str, Any]
Place = tuple[str | int, ...]

COMPONENTS = "#/components/schemas/"
"""Prefix of a reference to a component."""
_EMPTY: Mapping[str, str] = MappingProxyType({})


@attrs.frozen
class AssociationNode:
    """An association as the `include` parameter of one operation describes it."""

    name: str
    type: str
    """A definition's name as the contract spells it, `polymorphic`, or "" where the contract does not say."""
    field: str | None
    """The field that holds the ids, where the contract says so."""
    key: str | None
    """The envelope key of the associated objects, where the contract says so."""
    note: str
    """The rest of the contract's text."""
    place: Place


@attrs.frozen
class ParameterNode:
    """A parameter in the path or the query."""

    name: str
    location: Literal["path", "query"]
    schema: Json
    """Its type in OpenAPI 3, without a default."""
    description: str
    required: bool
    default: str | float | bool | None
    """What the service assumes when the parameter is not sent."""
    place: Place
    deprecated: bool = False


@attrs.frozen
class BodyNode:
    """The body of a request, without the wrapper around it."""

    component: str
    """The component that describes the object inside the wrapper."""
    media: str
    wrapper: str | None
    """The one key of the outermost object, such as `story`."""
    required: bool
    schema: Json
    place: Place


@attrs.frozen
class OperationNode:
    """An operation, its names in Python, and what it gives back."""

    method: str
    """Upper case."""
    path: str
    resource: str
    name: str
    summary: str
    description: str
    tags: tuple[str, ...]
    parameters: tuple[ParameterNode, ...]
    body: BodyNode | None
    responses: Json
    """The declared responses in OpenAPI 3, by status."""
    place: Place
    deprecated: bool = False
    bulk_limit: int | None = None
    """The most objects in one request, where its description says so."""
    own_rate_limit: bool = False
    """Whether its description says that it has one."""
    associations: tuple[AssociationNode, ...] = ()
    status: str = ""
    """Of the successful response."""
    result: Result = "none"
    model: str | None = None
    """The component of what it gives back."""
    key: str | None = None
    """The envelope key of its results."""
    envelope: Mapping[str, str] = _EMPTY
    """Envelope key → component, where the answer is an envelope."""

    @property
    def id(self) -> str:
        """`METHOD /path`."""
        return f"{self.method} {self.path}"


@attrs.frozen
class ComponentNode:
    """A future class: of a response, or of a body."""

    name: str
    """The class name."""
    schema: Json
    is_input: bool
    place: Place
    definition: str | None = None
    """The definition's name in the contract; `None` for an object that is declared inside something else."""
    faulty: bool = False
    """Whether an error about it is reported already, which silences others."""


@attrs.frozen
class Contract:
    """The whole contract."""

    info: Json
    servers: tuple[str, ...]
    operations: tuple[OperationNode, ...]
    components: Mapping[str, ComponentNode]
    """By class name."""

    @property
    def classes(self) -> dict[str, str]:
        """Definition → class name."""
        return {
            node.definition: name for name, node in self.components.items() if node.definition is not None
        }

    @property
    def received(self) -> list[ComponentNode]:
        return [node for node in self.components.values() if not node.is_input]

    @property
    def inputs(self) -> list[ComponentNode]:
        return [node for node in self.components.values() if node.is_input]

    def as_openapi(self) -> Json:
        """A plain OpenAPI 3.0 document of the nodes, which openapi-python-client's parser can take literally.

        Responses are left out: what an operation gives back is in its node, and the models are components.
        """
        return {
            "openapi": "3.0.3",
            "info": self.info,
            "servers": [{"url": url} for url in self.servers],
            "paths": self._paths(),
            "components": {
                "schemas": {name: node.schema for name, node in self.components.items()},
                "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            },
            "security": [{"token": []}],
        }

    def _paths(self) -> Json:
        paths: Json = {}
        for node in self.operations:
            operation: Json = {
                "operationId": f"{node.resource}__{node.name}",
                "tags": [node.resource],
                "parameters": [
                    {
                        "name": each.name,
                        "in": each.location,
                        "required": each.required,
                        "schema": each.schema,
                    }
                    for each in node.parameters
                ],
                "responses": {node.status: {"description": ""}},
            }
            if node.body is not None:
                schema = {"$ref": COMPONENTS + node.body.component}
                operation["requestBody"] = {
                    "required": node.body.required,
                    "content": {node.body.media: {"schema": schema}},
                }
            paths.setdefault(node.path, {})[node.method.lower()] = operation
        return paths
