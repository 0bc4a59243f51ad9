"""What the contract declares for each operation, read from its file independently of codegen.

Nothing of `codegen.normalise`, `codegen.describe` or the generated code is used here; loading and the overlay
are all that is shared.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

from codegen.load import load_data
from codegen.overlay import apply
from tests.codegen.vendored import vendored

ROOT = Path(__file__).parents[2]
METHODS = ("get", "post", "put", "delete", "patch")


@cache
def contract() -> dict[str, Any]:
    """The corrected contract."""
    return apply(vendored(), load_data(ROOT / "overrides" / "overlay.yaml"))


@dataclass(frozen=True)
class Declared:
    """One operation as the contract declares it."""

    method: str
    path: str
    placeholders: tuple[str, ...]
    query: dict[str, dict[str, Any]]
    form: dict[str, dict[str, Any]]
    wrapper: str | None
    body: dict[str, dict[str, Any]]
    required: frozenset[str]
    """Names of query parameters, form fields and properties that must be given."""
    status: int
    response: dict[str, Any] | None

    @property
    def id(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def keywords(self) -> dict[str, str]:
        """Query parameter, form field or property → the keyword that it should be."""
        return {name: keyword(name) for name in (*self.query, *self.form, *self.body)}

    @property
    def associations(self) -> list[tuple[str, str]]:
        """(name, type) of what `include` takes."""
        return associations(self.query.get("include", {}).get("description", ""))


def associations(prose: str) -> list[tuple[str, str]]:
    return re.findall(r"^- `(\w+)` \(([\w:]+)\)", prose, re.MULTILINE)


def class_name(definition: str) -> str:
    """The class that a definition should be."""
    return (
        "Attachment" if definition == "Attachments::Base" else definition.rpartition("::")[2].replace(" ", "")
    )


def keyword(name: str) -> str:
    inner = name.rsplit("[", maxsplit=1)[-1].rstrip("]")
    return {"except": "except_", "from": "from_"}.get(inner, inner)


@cache
def operations() -> dict[str, Declared]:
    """Every operation by `"METHOD /path"`."""
    unknown = {method for item in contract()["paths"].values() for method in item} - {*METHODS, "parameters"}
    assert not unknown
    found = [
        _operation(method, path, item[method])
        for path, item in contract()["paths"].items()
        for method in METHODS
        if method in item
    ]
    return {each.id: each for each in found}


def _operation(method: str, path: str, declared: dict[str, Any]) -> Declared:
    parameters = declared.get("parameters", [])
    query = {each["name"]: each for each in parameters if each["in"] == "query"}
    form = {each["name"]: each for each in parameters if each["in"] == "formData"}
    required = {
        each["name"] for each in parameters if each["in"] in ("query", "formData") and each.get("required")
    }
    wrapper, body = None, {}
    for each in parameters:
        if each["in"] == "body":
            wrapper, inner = _unwrapped(each["schema"])
            body = inner["properties"]
            required |= set(inner.get("required", ()))
    ((status, response),) = ((int(s), r) for s, r in declared["responses"].items() if str(s).startswith("2"))
    assert "$ref" not in response, f"{method} {path}: these tests don't follow references"
    assert "$ref" not in response.get("schema", {}), f"{method} {path}: these tests don't follow references"
    return Declared(
        method.upper(),
        path,
        tuple(re.findall(r"\{(\w+)\}", path)),
        query,
        form,
        wrapper,
        body,
        frozenset(required),
        status,
        response.get("schema"),
    )


def _unwrapped(schema: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
    objects = {name: each for name, each in schema["properties"].items() if each["type"] == "object"}
    if not objects:
        return None, schema
    ((name, inner),) = objects.items()
    return name, inner


# --- arguments, and what should become of them ----------------------------------------------------


MOMENT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
DAY = date(2026, 3, 4)
TEXT = "Ärger & Müller=50%+ /?#"
"""Everything that a query could get wrong."""
PAGE = {"page": 3, "per_page": 50, "limit": 40, "offset": 80}


def query_argument(name: str, parameter: dict[str, Any]) -> tuple[Any, str]:
    """(argument, text in the query) of a query parameter."""
    prose = parameter.get("description", "")
    if name == "include":
        names = [each for each, _ in associations(prose)]
        return names, ",".join(names)
    if name == "only":
        return [7, "8"], "7,8"
    if parameter["type"] == "array":
        given = [_listed(prose) or argument(name, parameter["items"])[0]] * 2
        return given, ",".join(str(each) for each in given)
    if name in PAGE:
        return PAGE[name], str(PAGE[name])
    value, plain = argument(name, parameter)
    return value, {True: "true", False: "false"}[plain] if isinstance(plain, bool) else str(plain)


def argument(name: str, schema: dict[str, Any]) -> tuple[Any, Any]:
    """(argument, JSON) of a value that the contract describes: every property is given."""
    if "enum" in schema:
        return schema["enum"][-1], schema["enum"][-1]
    match schema.get("type"), schema.get("format"):
        case "string", "date-time":
            return MOMENT, "2026-03-04T05:06:07+00:00"
        case "string", "date":
            return DAY, "2026-03-04"
        case "string", _:
            value = _listed(schema.get("description", "")) or TEXT
            return value, value
        case "integer", _:
            return 7, 7
        case "number", _:
            return 7.5, 7.5
        case "boolean", _:
            return True, True
        case "file", _:
            return b"\x00\xffbytes", b"\x00\xffbytes"
        case "array", _:
            given, plain = argument(name, schema["items"])
            return [given, given], [plain, plain]
        case "object", _ if "properties" in schema:
            inner = {each: argument(each, value) for each, value in schema["properties"].items()}
            return {each: given for each, (given, _) in inner.items()}, {
                each: plain for each, (_, plain) in inner.items()
            }
        case "object", _ if schema.get("additionalProperties"):
            given, plain = argument(name, schema["additionalProperties"])
            return {"key": given}, {"key": plain}
        case "object", _:
            return {"key": TEXT}, {"key": TEXT}
        case None, _:
            return [7, "EUR"], [7, "EUR"]
    raise AssertionError(f"{name}: {schema}")


def _listed(prose: str) -> str | None:
    """One of the values that prose lists."""
    listed = prose.partition("Valid values: ")[2].partition(". ")[0]
    values = re.findall(r"`([^`]+)`", listed)
    return values[-1] if values else None


# --- a well-formed answer --------------------------------------------------------------


def answer(declared: Declared) -> Any:
    """The smallest answer that the contract would call well-formed; `None` for no body."""
    schema = declared.response
    if schema is None:
        return None
    if "direct" in declared.form:  # which `argument` asks for
        return {"id": 7, "action": "https://upload.example/", "fields": {"key": "k"}}
    if schema["type"] == "array":
        return [_least(schema["items"])]
    properties = schema.get("properties", {})
    if "results" not in properties or "count" not in properties:
        return _least(schema)
    keys = [name for name in properties if name not in ("count", "meta", "results")]
    collection = [word for word in declared.path.split("/") if word in keys]
    key = (collection or keys)[-1 if collection else 0]
    return {"count": 1, "results": [{"key": key, "id": "7"}], key: {"7": {"id": "7"}}}


def _least(schema: dict[str, Any]) -> Any:
    if "properties" not in schema and isinstance(schema.get("additionalProperties"), dict):
        return {"7": {"id": "7"}}
    return {"id": "7"}
