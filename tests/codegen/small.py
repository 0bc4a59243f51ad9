"""A small contract with every feature that the compiler handles, in both dialects."""

from __future__ import annotations

import copy
from typing import Any

import attrs

from codegen.semantics import Semantics

_NOT_MAPS: dict[str, Any] = {
    "bulk_limit_unless_stated": 100,
    "upserts": frozenset(),
    "own_rate_limit": frozenset(),
    "ids": frozenset(),
}
NOTHING_KNOWN = Semantics(**{each.name: _NOT_MAPS.get(each.name, {}) for each in attrs.fields(Semantics)})

BOOKKEEPING = {
    "count": {"type": "integer"},
    "results": {
        "type": "array",
        "items": {"type": "object", "properties": {"key": {"type": "string"}, "id": {"type": "string"}}},
    },
}


def envelope(prefix: str, **keys: str) -> dict[str, Any]:
    maps = {
        key: {"type": "object", "additionalProperties": {"$ref": prefix + name}} for key, name in keys.items()
    }
    return {"type": "object", "properties": {**copy.deepcopy(BOOKKEEPING), **maps}}


def _definitions(prefix: str) -> dict[str, Any]:
    return {
        "Library::Book": {
            "title": "Thing",
            "type": "object",
            "required": ["title"],
            "properties": {
                "title": {"type": "string"},
                "printed_on": {"type": "string", "format": "date"},
                "author_id": {"type": "string", "description": "Present only when `include` names `author`."},
                "sequel_ids": {"type": "array", "items": {"type": "string"}},
                "shelf": {
                    "type": "object",
                    "properties": {"room": {"type": "string"}, "place": {"type": "integer"}},
                },
            },
        },
        "Author": {
            "title": "Thing",
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "standing": {
                    "type": "string",
                    "enum": ["new", "known", None],
                    "description": "As we see it.",
                },
                "prizes": {"type": "array", "items": {"type": "integer", "enum": [1, 2]}},
            },
        },
    }


INCLUDE = (
    "Associations to sideload, comma-separated:\n"
    "- `author` (Author)\n"
    "- `sequels` (Library::Book) - referenced by `sequel_ids`, found under `books`; the later ones"
)
ORDER = "Sort order. Valid values: `title:asc`, and `title:desc`."
BODY = {
    "type": "object",
    "properties": {
        "book": {
            "type": "object",
            "required": ["title"],
            "properties": {
                "title": {"type": "string"},
                "printed_on": {"type": "string", "format": "date"},
                "shelf": {"type": "object", "properties": {"room": {"type": "string"}}},
            },
        }
    },
}


def swagger() -> dict[str, Any]:
    """The contract as Swagger 2.0."""
    ref = "#/definitions/"
    books = {
        "200": {"description": "Books.", "schema": envelope(ref, books="Library::Book", authors="Author")}
    }
    identifier = {"in": "path", "name": "id", "required": True, "type": "integer"}
    return copy.deepcopy(
        {
            "swagger": "2.0",
            "info": {"title": "Library", "version": "1"},
            "host": "library.example",
            "basePath": "/v1",
            "schemes": ["https"],
            "consumes": ["application/json"],
            "produces": ["application/json"],
            "definitions": _definitions(ref),
            "paths": {
                "/books": {
                    "get": {
                        "summary": "List books",
                        "operationId": "Get Books",
                        "tags": ["Books"],
                        "parameters": [
                            {"in": "query", "name": "include", "type": "string", "description": INCLUDE},
                            {
                                "in": "query",
                                "name": "order",
                                "type": "string",
                                "default": "title:asc",
                                "description": ORDER,
                            },
                            {"in": "query", "name": "page", "type": "integer", "default": 1},
                            {
                                "in": "query",
                                "name": "per_page",
                                "type": "integer",
                                "default": 20,
                                "maximum": 200,
                            },
                            {"in": "query", "name": "except", "type": "boolean"},
                        ],
                        "responses": books,
                    },
                    "post": {
                        "summary": "Create a book",
                        "operationId": "Create Book",
                        "tags": ["Books"],
                        "parameters": [{"in": "body", "name": "body", "required": True, "schema": BODY}],
                        "responses": books,
                    },
                },
                "/books/{id}": {
                    "get": {
                        "summary": "One",
                        "operationId": "Get Book",
                        "tags": ["Books"],
                        "parameters": [identifier],
                        "responses": books,
                    },
                    "delete": {
                        "summary": "Delete",
                        "operationId": "Delete Book",
                        "tags": ["Books"],
                        "parameters": [identifier],
                        "responses": {"204": {"description": "Gone."}},
                    },
                },
                "/books/{id}/lend": {
                    "put": {
                        "summary": "Lend",
                        "operationId": "Lend Book",
                        "tags": ["Books"],
                        "parameters": [identifier],
                        "responses": books,
                    }
                },
            },
        }
    )


def openapi() -> dict[str, Any]:
    """The same contract as OpenAPI 3.0, as somebody would write it by hand."""
    ref = "#/components/schemas/"
    schema = envelope(ref, books="Library::Book", authors="Author")
    books = {"200": {"description": "Books.", "content": {"application/json": {"schema": schema}}}}
    identifier = {"in": "path", "name": "id", "required": True, "schema": {"type": "integer"}}
    return copy.deepcopy(
        {
            "openapi": "3.0.3",
            "info": {"title": "Library", "version": "1"},
            "servers": [{"url": "https://library.example/v1"}],
            "components": {"schemas": _definitions(ref)},
            "paths": {
                "/books": {
                    "get": {
                        "summary": "List books",
                        "operationId": "Get Books",
                        "tags": ["Books"],
                        "parameters": [
                            {
                                "in": "query",
                                "name": "include",
                                "description": INCLUDE,
                                "schema": {"type": "string"},
                            },
                            {
                                "in": "query",
                                "name": "order",
                                "description": ORDER,
                                "schema": {"type": "string", "default": "title:asc"},
                            },
                            {"in": "query", "name": "page", "schema": {"type": "integer", "default": 1}},
                            {
                                "in": "query",
                                "name": "per_page",
                                "schema": {"type": "integer", "default": 20, "maximum": 200},
                            },
                            {"in": "query", "name": "except", "schema": {"type": "boolean"}},
                        ],
                        "responses": books,
                    },
                    "post": {
                        "summary": "Create a book",
                        "operationId": "Create Book",
                        "tags": ["Books"],
                        "requestBody": {"required": True, "content": {"application/json": {"schema": BODY}}},
                        "responses": books,
                    },
                },
                "/books/{id}": {
                    "parameters": [identifier],
                    "get": {
                        "summary": "One",
                        "operationId": "Get Book",
                        "tags": ["Books"],
                        "responses": books,
                    },
                    "delete": {
                        "summary": "Delete",
                        "operationId": "Delete Book",
                        "tags": ["Books"],
                        "responses": {"204": {"description": "Gone."}},
                    },
                },
                "/books/{id}/lend": {
                    "put": {
                        "summary": "Lend",
                        "operationId": "Lend Book",
                        "tags": ["Books"],
                        "parameters": [identifier],
                        "responses": books,
                    }
                },
            },
        }
    )
