"""Semantics: facts that the contract lacks, read from `overrides/semantics.yaml` and checked."""

from __future__ import annotations

import keyword
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, cast, get_args

import attrs

from codegen.errors import CodegenError, guarded, of_file, outdated, reading
from codegen.load import load_data
from codegen.names import METHODS, class_name
from kantata_client._contract import Result

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")

_NOTHING: Mapping[str, str] = MappingProxyType({})


@attrs.frozen
class Alternative:
    """A second shape of a successful response."""

    definition: str
    when: str
    """The property of the body that asks for it."""


@attrs.frozen
class Semantics:
    """The facts; operations are written `"METHOD /path"`, definitions as the contract spells them."""

    names: Mapping[str, str]
    """Operation → method name, or `resource.method`, where the rule gets it wrong."""
    results: Mapping[str, Result]
    """Operation → what it gives back, where its declared response or its path misleads."""
    alternatives: Mapping[str, Alternative]
    """Operation → second shape of its response."""
    bulk_create: Mapping[str, int | None]
    """Operation that takes many objects, wrapped in the plural → most in one request; None: not stated."""
    bulk_update: Mapping[str, int | None]
    """Operation → most objects in one request; None: not stated."""
    bulk_delete: Mapping[str, int | None]
    """Operation → most ids in one request; None: not stated."""
    decisions: Mapping[str, str]
    """Operation on several objects → `resource.method` that does it."""
    widest: Mapping[str, Mapping[str, bool]]
    """List → query parameters with which it hides nothing by default."""
    bulk_limit_unless_stated: int
    upserts: frozenset[str]
    """Creations that change what is there already."""
    identified_by: Mapping[str, tuple[str, ...]]
    """Bulk creation → the fields in which items agree that it writes into one object."""
    repeatable: Mapping[str, bool]
    """PUT → whether it may be carried out twice; decided for each that is not on the path of a record."""
    own_rate_limit: frozenset[str]
    associations: Mapping[tuple[str, str], Mapping[str, str]]
    """(definition, association) → its true `type`, `field` and `key`, where the prose gets them wrong."""
    types: Mapping[str, str]
    """Type of a polymorphic subject → envelope key, where it isn't the definition that the key holds."""
    wrappers: Mapping[str, str | None]
    """Operation → the key of its body that wraps the properties; None: no key does, each property is its own."""
    ids: frozenset[str]
    """Integer parameters that take an id, although their name does not say so."""
    classes: Mapping[str, str]
    """Definition → its class, where the rule makes one name of two."""

    def bulk_stated(self, operation: str) -> int | None:
        """The number that is written down for an operation, if it is listed with one."""
        for limits in (self.bulk_create, self.bulk_update, self.bulk_delete):
            if operation in limits:
                return limits[operation]
        return None

    def bulk_limit(self, operation: str) -> int | None:
        """Most objects or ids to send in one request; None where the operation takes no more than one."""
        for limits in (self.bulk_create, self.bulk_update, self.bulk_delete):
            if operation in limits:
                return limits[operation] or self.bulk_limit_unless_stated
        return None

    def association(self, definition: str, name: str) -> Mapping[str, str]:
        """What to believe of an association instead of the prose: `type`, `field`, `key`, or none of them."""
        return self.associations.get((definition, name), _NOTHING)


def load_semantics(path: Path, contract: Mapping[str, Any]) -> Semantics:
    """Read and check the facts.

    Args:
        path: `overrides/semantics.yaml`.
        contract: The corrected contract as `codegen.resolve.resolve` returns it, which the facts must fit.

    Raises:
        CodegenError: A key is unknown or missing, a value is not what its key takes, or an operation, a
            definition or a field is named that the contract does not have.
    """
    data = load_data(path)
    with of_file(path), reading("the facts"):
        return _Reader(contract).read(data)


_OPTIONAL = frozenset({"classes"})
_SECTIONS = frozenset(each.name for each in attrs.fields(Semantics))


class _Reader:
    def __init__(self, contract: Mapping[str, Any]) -> None:
        self._place: tuple[str | int, ...] = ()
        self._operations = {
            f"{method.upper()} {path}"
            for path, item in contract["paths"].items()
            for method in item
            if method in METHODS
        }
        self._parameters = {
            f"{method.upper()} {path}": {parameter["name"] for parameter in operation.get("parameters", ())}
            for path, item in contract["paths"].items()
            for method, operation in item.items()
            if method in METHODS
        }
        self._definitions = cast(
            "Mapping[str, Any]",
            contract.get("definitions") or contract.get("components", {}).get("schemas", {}),
        )

    def read(self, data: Mapping[str, Any]) -> Semantics:
        self._keys("the file", data, required=[*_SECTIONS - _OPTIONAL], optional=[*_OPTIONAL])
        return Semantics(
            names=self._names(data["names"]),
            results=self._results(data["results"]),
            alternatives=self._alternatives(data["alternatives"]),
            bulk_create=self._limits("bulk_create", "POST", data["bulk_create"]),
            bulk_update=self._limits("bulk_update", "PUT", data["bulk_update"]),
            bulk_delete=self._limits("bulk_delete", "DELETE", data["bulk_delete"]),
            decisions=self._decisions(data["decisions"]),
            widest=self._widest(data["widest"]),
            bulk_limit_unless_stated=self._number(
                "bulk_limit_unless_stated", data["bulk_limit_unless_stated"]
            ),
            upserts=self._set_of_operations("upserts", data["upserts"]),
            identified_by=self._identified_by(data["identified_by"]),
            repeatable=self._repeatable(data["repeatable"]),
            own_rate_limit=self._set_of_operations("own_rate_limit", data["own_rate_limit"]),
            associations=self._associations(data["associations"]),
            types=self._types(data["types"]),
            wrappers=self._wrappers(data["wrappers"]),
            ids=self._ids(data["ids"]),
            classes=self._classes(data.get("classes", {})),
        )

    def _names(self, data: Any) -> Mapping[str, str]:
        def read(operation: str, name: Any) -> str:
            parts = str(name).split(".")
            if len(parts) > 2 or not all(_is_name(part) for part in parts):
                self._fail(f"names: {operation}: {name!r} can't be the name of a method")
            return str(name)

        return self._by_operation("names", data, read)

    def _results(self, data: Any) -> Mapping[str, Result]:
        def read(operation: str, result: Any) -> Result:
            if result not in get_args(Result):
                self._fail(f"results: {operation}: {result!r} is not one of {', '.join(get_args(Result))}")
            return cast("Result", result)

        return self._by_operation("results", data, read)

    def _alternatives(self, data: Any) -> Mapping[str, Alternative]:
        def read(operation: str, alternative: Any) -> Alternative:
            where = f"alternatives: {operation}"
            self._keys(where, alternative, required=["definition", "when"])
            self._definition(where, alternative["definition"])
            return Alternative(alternative["definition"], str(alternative["when"]))

        return self._by_operation("alternatives", data, read)

    def _limits(self, section: str, method: str, data: Any) -> Mapping[str, int | None]:
        def read(operation: str, limit: Any) -> int | None:
            if not operation.startswith(method + " "):
                self._fail(f"{section}: {operation} is not a {method}")
            return None if limit is None else self._number(f"{section}: {operation}", limit)

        return self._by_operation(section, data, read)

    def _decisions(self, data: Any) -> Mapping[str, str]:
        taken: set[str] = set()

        def read(operation: str, method: Any) -> str:
            parts = str(method).split(".")
            if len(parts) < 2 or not all(_is_name(part) for part in parts):
                self._fail(f"decisions: {operation}: {method!r} is not written resource.method")
            if method in taken:
                self._fail(f"decisions: {operation}: another line gives {method} already")
            taken.add(method)
            return str(method)

        return self._by_operation("decisions", data, read)

    def _widest(self, data: Any) -> Mapping[str, Mapping[str, bool]]:
        def read(operation: str, parameters: Any) -> Mapping[str, bool]:
            for name, value in self._mapping(f"widest: {operation}", parameters).items():
                if name not in self._parameters[operation]:
                    self._fail(f"widest: {operation} has no parameter {name!r}")
                if type(value) is not bool:
                    self._fail(f"widest: {operation}: {name} is {value!r}, not true or false")
            return MappingProxyType(dict(parameters))

        return self._by_operation("widest", data, read)

    def _repeatable(self, data: Any) -> Mapping[str, bool]:
        def read(operation: str, value: Any) -> bool:
            if not operation.startswith("PUT "):
                self._fail(f"repeatable: {operation} is not a PUT; other methods leave nothing to decide")
            if type(value) is not bool:
                self._fail(f"repeatable: {operation}: {value!r} must be true or false")
            return value

        return self._by_operation("repeatable", data, read)

    def _set_of_operations(self, section: str, data: Any) -> frozenset[str]:
        self._place = (section,)
        if not isinstance(data, list):
            self._fail(f"{section} is not a list of operations")
        listed = cast("list[Any]", data)
        for number, operation in enumerate(listed):
            self._place = section, number
            with guarded(*self._place):
                if self._operation(section, operation) and operation in listed[:number]:
                    self._fail(f"{section}: {operation} is listed twice")
        return frozenset(listed) & self._operations

    def _identified_by(self, data: Any) -> Mapping[str, tuple[str, ...]]:
        def read(operation: str, fields: Any) -> tuple[str, ...]:
            listed = cast("list[Any]", fields) if isinstance(fields, list) else []
            if not listed or not all(isinstance(field, str) for field in listed):
                self._fail(f"identified_by: {operation}: {fields!r} is not a list of properties of its body")
            return tuple(listed)

        return self._by_operation("identified_by", data, read)

    def _associations(self, data: Any) -> Mapping[tuple[str, str], Mapping[str, str]]:
        found: dict[tuple[str, str], Mapping[str, str]] = {}
        for definition, named in self._mapping("associations", data).items():
            self._place = "associations", definition
            if definition not in self._definitions:
                outdated(
                    f"associations: the contract has no definition {definition!r}; delete the line, or correct it",
                    self._place,
                )
                continue
            properties = self._definitions[definition].get("properties", {})
            for name, facts in self._mapping(f"associations: {definition}", named).items():
                where = f"associations: {definition}.{name}"
                self._place = "associations", definition, name
                with guarded(*self._place):
                    self._keys(where, facts, required=[], optional=["type", "field", "key"])
                    listed = self._definitions[definition].keys().isdisjoint(("allOf", "oneOf", "anyOf"))
                    if listed and "field" in facts and str(facts["field"]) not in properties:
                        self._fail(f"{where}: {definition} has no field {facts['field']!r}")
                    if facts.get("type", "polymorphic") != "polymorphic":
                        self._definition(where, facts["type"])
                    found[definition, name] = MappingProxyType(dict(facts))
        return MappingProxyType(found)

    def _types(self, data: Any) -> Mapping[str, str]:
        types = self._mapping("types", data)
        for name, key in types.items():
            self._place = "types", name
            with guarded(*self._place):
                if not isinstance(key, str):
                    self._fail(f"types: {name}: {key!r} is not an envelope key")
        return MappingProxyType(types)

    def _wrappers(self, data: Any) -> Mapping[str, str | None]:
        def read(operation: str, wrapper: Any) -> str | None:
            if wrapper is not None and not isinstance(wrapper, str):
                self._fail(f"wrappers: {operation}: {wrapper!r} must be a key of its body, or null")
            return wrapper

        return self._by_operation("wrappers", data, read)

    def _ids(self, data: Any) -> frozenset[str]:
        self._place = ("ids",)
        if not isinstance(data, list):
            self._fail("ids is not a list of parameters")
        listed = cast("list[Any]", data)
        every = {name for names in self._parameters.values() for name in names}
        for name in listed:
            if name not in every:
                outdated(
                    f"ids: no operation has a parameter {name!r}; delete the line, or correct it", ("ids",)
                )
        return frozenset(listed)

    def _classes(self, data: Any) -> Mapping[str, str]:
        classes = self._mapping("classes", data)
        for definition, name in classes.items():
            self._place = "classes", definition
            with guarded(*self._place):
                if not isinstance(name, str) or not _is_name(name):
                    self._fail(f"classes: {definition}: {name!r} can't be the name of a class")
                if definition not in self._definitions or name == class_name(definition):
                    why = (
                        "it is so without this line"
                        if definition in self._definitions
                        else "there is no such definition"
                    )
                    outdated(f"classes: {definition}: {why}; delete the line, or correct it", self._place)
        return MappingProxyType(classes)

    # --- checks ---

    def _by_operation(self, section: str, data: Any, read: Callable[[str, Any], T]) -> Mapping[str, T]:
        """Read a section that has one entry for each operation; the errors of all entries are reported."""
        found: dict[str, T] = {}
        with guarded(section):
            for operation, value in self._mapping(section, data).items():
                self._place = section, operation
                with guarded(*self._place):
                    if self._operation(section, operation):
                        found[operation] = read(operation, value)
        return MappingProxyType(found)

    def _operation(self, section: str, operation: Any) -> bool:
        """Whether the contract has an operation; a line about another one is outdated."""
        known = isinstance(operation, str) and operation in self._operations
        if not known:
            outdated(
                f"{section}: the contract has no operation {operation!r}; delete the line, or correct it",
                self._place,
            )
        return known

    def _definition(self, where: str, definition: Any) -> None:
        if not isinstance(definition, str) or definition not in self._definitions:
            self._fail(
                f"{where}: the contract has no definition {definition!r}; delete the line, or correct it"
            )

    def _number(self, where: str, value: Any) -> int:
        if type(value) is not int or value < 1:
            self._fail(f"{where}: {value!r} is not a number of objects")
        return value

    def _mapping(self, where: str, data: Any) -> dict[str, Any]:
        if where in _SECTIONS:
            self._place = (where,)
        if not isinstance(data, dict):
            self._fail(f"{where} is not a mapping")
        return cast("dict[str, Any]", data)

    def _keys(self, where: str, data: Any, *, required: list[str], optional: list[str] | None = None) -> None:
        keys = self._mapping(where, data)
        missing = [key for key in required if key not in keys]
        unknown = [key for key in keys if key not in required and key not in (optional or ())]
        if missing or unknown:
            words = [
                *(f"lacks {key!r}" for key in missing),
                *(f"has {key!r}, which is unknown" for key in unknown),
            ]
            self._fail(f"{where} {', '.join(words)}")

    def _fail(self, what: str) -> NoReturn:
        raise CodegenError(what, self._place)


def _is_name(word: str) -> bool:
    return word.isidentifier() and not keyword.iskeyword(word)
