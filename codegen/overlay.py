"""Overlay: apply corrections (OpenAPI Overlay 1.0), and notice those that no longer apply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from jsonpath import JSONPathEnvironment
from jsonpath.exceptions import JSONPathError

from codegen.errors import CodegenError, guarded, outdated, reading
from codegen.load import apart, check_references, place
from kantata_client._lazy import similar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jsonpath import JSONPathMatch

_JSONPATH = JSONPathEnvironment(strict=True)  # RFC 9535 and nothing else
_REQUIRED = ("overlay", "info", "actions")
_NAMES_BELOW = frozenset(
    {"paths", "definitions", "properties", "patternProperties", "responses", "headers", "content", "examples"}
    | {"components", "schemas", "requestBodies", "securitySchemes", "securityDefinitions", "scopes", "$defs"}
)
"""The keys below these are names; below the names come keywords again."""
_VALUES_BELOW = frozenset({"default", "enum", "example", "examples", "required", "security"})
_WORDS = (
    _NAMES_BELOW
    | _VALUES_BELOW
    | {
        "parameters",
        "get",
        "put",
        "post",
        "delete",
        "patch",
        "head",
        "options",
        "trace",
        "servers",
        "schemes",
    }
    | {
        "tags",
        "summary",
        "description",
        "operationId",
        "consumes",
        "produces",
        "deprecated",
        "externalDocs",
        "url",
    }
    | {
        "name",
        "in",
        "schema",
        "type",
        "format",
        "items",
        "collectionFormat",
        "allowEmptyValue",
        "requestBody",
    }
    | {
        "title",
        "maximum",
        "minimum",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "maxLength",
        "minLength",
        "pattern",
    }
    | {
        "maxItems",
        "minItems",
        "uniqueItems",
        "multipleOf",
        "maxProperties",
        "minProperties",
        "readOnly",
        "nullable",
    }
    | {
        "additionalProperties",
        "allOf",
        "oneOf",
        "anyOf",
        "not",
        "const",
        "discriminator",
        "writeOnly",
        "$ref",
    }
    | {
        "style",
        "explode",
        "info",
        "version",
        "host",
        "basePath",
        "swagger",
        "openapi",
        "contact",
        "license",
        "xml",
    }
)
"""The keywords of Swagger 2.0 and OpenAPI 3; anything else in an `update` is a typing error."""
_TYPES = ("string", "integer", "number", "boolean", "array", "object", "file", "null")


def apply(document: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """The corrected document.

    Actions apply in order, each to the result of those before it. `update` merges into every
    object that the target selects: objects recursively, lists are concatenated, anything else is replaced.
    Where the target selects a list, `update` is the entry, or the list of entries, to append. `remove` takes
    the selected objects and lists out. `x-replace` puts a value in the place of what the target selects, which has
    to be what `x-was` says.

    Args:
        document: A contract as `codegen.load.load` returns it; not changed.
        overlay: A document by the OpenAPI Overlay Specification 1.0.

    Raises:
        CodegenError: The overlay is invalid, an action's target selects nothing, or an action changes nothing: the
            contract has changed there, and a person has to look at the correction.
    """
    _check(overlay)
    corrected = apart(document)
    for number, action in enumerate(overlay["actions"], start=1):
        with guarded("actions", number - 1):
            _apply_action(
                corrected, action, f"overlay action {number} ({action['target']})", ("actions", number - 1)
            )
    check_references(corrected)
    return corrected


def _check(overlay: Mapping[str, Any]) -> None:
    _check_keys("the overlay", overlay, _REQUIRED, ("extends",))
    version = overlay["overlay"]
    if not isinstance(version, str) or version.split(".")[:2] != ["1", "0"]:
        msg = f"the overlay says `overlay: {version}`, but codegen knows 1.0.0"
        raise CodegenError(msg)
    _check_keys("the overlay's info", overlay["info"], ("title", "version"), ("description",))
    if not overlay["actions"] or not isinstance(overlay["actions"], list):
        msg = "the overlay's `actions` is not a list of at least one action"
        raise CodegenError(msg)
    for number, action in enumerate(cast("list[Any]", overlay["actions"]), start=1):
        where = f"overlay action {number}"
        with reading("actions", number - 1):
            _check_keys(where, action, ("target",), ("description", "update", "remove"))
            if not isinstance(action["target"], str):
                msg = f"{where}: its `target` must be text"
                raise CodegenError(msg)
            if [("update" in action), action.get("remove") is True, "x-replace" in action].count(True) != 1:
                msg = f"{where} ({action['target']}) needs one of `update`, `remove: true` and `x-replace`"
                raise CodegenError(msg)
            if "x-replace" in action and "x-was" not in action:
                msg = f"{where} ({action['target']}): `x-replace` needs `x-was`, the value that it takes the place of"
                raise CodegenError(msg)


def _check_keys(where: str, mapping: Any, required: Sequence[str], optional: Sequence[str]) -> None:
    if not isinstance(mapping, dict):
        msg = f"{where} is not a mapping"
        raise CodegenError(msg)
    keys = cast("dict[str, Any]", mapping)
    missing = [key for key in required if key not in keys]
    unknown = [key for key in keys if key not in (*required, *optional) and not key.startswith("x-")]
    if missing or unknown:
        words = [
            *(f"lacks `{key}`" for key in missing),
            *(f"has `{key}`, which is unknown" for key in unknown),
        ]
        msg = f"{where} {', '.join(words)}"
        raise CodegenError(msg)


def _apply_action(
    document: dict[str, Any], action: Mapping[str, Any], where: str, action_place: tuple[str | int, ...]
) -> None:
    if "x-test" in action and not _selected(action["x-test"], document, f"{where}: `x-test`"):
        msg = f"{where}: its `x-test` selects nothing: the contract does not need it any more; delete this action"
        outdated(msg, action_place)
        return
    matches = _selected(action["target"], document, f"{where}: the target")
    if not matches:
        msg = f"{where} selects nothing: the contract has changed there; correct or delete the action"
        outdated(msg, action_place)
        return
    nodes = [(match.parts, cast("Any", match.obj)) for match in matches]
    if "x-replace" in action:
        for parts, node in nodes:
            _replace(document, parts, node, action, f"{where}, at {place(parts)}", action_place)
        return
    for parts, node in nodes:
        if not isinstance(node, dict | list):
            msg = (
                f"{where} selects {place(parts)}, which is neither an object nor a list: select what it is in"
            )
            raise CodegenError(msg)
    if "update" in action:
        for parts, node in nodes:
            _check_words(action["update"], f"{where}, at {place(parts)}", names=_holds_names(parts))
            if not _update(node, apart(action["update"]), f"{where}, at {place(parts)}"):
                msg = (
                    f"{where} changes nothing at {place(parts)}: the contract says so now; delete this action"
                )
                outdated(msg, action_place)
        return
    last_first = sorted((parts for parts, _ in nodes), key=_order, reverse=True)  # so that indices stay true
    for parts in last_first:
        if not parts:
            msg = f"{where} would remove the whole document"
            raise CodegenError(msg)
        _remove(document, parts)


def _selected(path: Any, document: dict[str, Any], what: str) -> list[JSONPathMatch]:
    try:
        return list(_JSONPATH.finditer(path, document))
    except (JSONPathError, TypeError) as error:
        msg = f"{what} is not a JSONPath: {error}"
        raise CodegenError(msg) from error


def _replace(
    document: dict[str, Any],
    parts: Sequence[str | int],
    node: Any,
    action: Mapping[str, Any],
    where: str,
    action_place: tuple[str | int, ...],
) -> None:
    """Replace a value, if it is the expected one."""
    if _is_equal(node, action["x-replace"]):
        outdated(f"{where}: the contract says so itself now; delete this action", action_place)
        return
    if not _expected(node, action["x-was"]):
        msg = (
            f"{where}: the contract says {_short(node)} there, and the action was made for {_short(action['x-was'])}: look "
            "at it again; correct or delete the action"
        )
        outdated(msg, action_place)
        return
    if not parts:
        msg = f"{where} would replace the whole document"
        raise CodegenError(msg)
    _check_words(action["x-replace"], where, names=_holds_names(parts))
    holder: Any = document
    for part in parts[:-1]:
        holder = holder[part]
    holder[parts[-1]] = apart(action["x-replace"])


def _expected(node: Any, was: Any) -> bool:
    """Whether a value is the expected one; of an object only the keys that are expected count, so that prose is free."""
    if isinstance(node, dict) and isinstance(was, dict):
        found = cast("dict[str, Any]", node)
        return all(
            key in found and _expected(found[key], value)
            for key, value in cast("dict[str, Any]", was).items()
        )
    return bool(_is_equal(node, was))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"


_SHOWN = 120


def _holds_names(parts: Sequence[str | int]) -> bool:
    """Whether the keys at a place are names, such as those of properties, rather than words of the dialect."""
    names = False
    for part in parts:
        names = not names and part in _NAMES_BELOW
    return names


def _check_words(value: Any, where: str, *, names: bool) -> None:
    if isinstance(value, list):
        for entry in cast("list[Any]", value):
            _check_words(entry, where, names=False)
    if not isinstance(value, dict):
        return
    for key, inner in cast("dict[str, Any]", value).items():
        if names:
            _check_words(inner, where, names=False)
            continue
        if key not in _WORDS and not key.startswith("x-"):
            msg = f"{where}: `{key}` is not a word of Swagger 2.0 or OpenAPI 3{similar(key, tuple(sorted(_WORDS)))}"
            raise CodegenError(msg)
        if key == "type" and isinstance(inner, str) and inner not in _TYPES:
            msg = f"{where}: `{inner}` is not a type{similar(inner, _TYPES)}"
            raise CodegenError(msg)
        if key not in _VALUES_BELOW:
            _check_words(inner, where, names=key in _NAMES_BELOW)


def _update(node: dict[str, Any] | list[Any], value: Any, where: str) -> bool:
    """Merge `value` into `node`; whether that changed anything."""
    if isinstance(node, list):
        return _append(node, cast("list[Any]", value) if isinstance(value, list) else [value], where)
    if not isinstance(value, dict):
        msg = f"{where}: an object can only be updated with an object"
        raise CodegenError(msg)
    changed = False
    for key, new in cast("dict[str, Any]", value).items():
        if _can_merge(node.get(key), new):
            changed |= _update(node[key], new, where)
        elif key not in node or not _is_equal(node[key], new):
            node[key] = new
            changed = True
    return changed


def _can_merge(old: Any, new: Any) -> bool:
    return type(old) is type(new) and isinstance(new, dict | list)


def _is_equal(old: Any, new: Any) -> bool:
    return type(old) is type(new) and old == new  # to JSON, true is not 1


def _append(entries: list[Any], new: list[Any], where: str) -> bool:
    """Append entries; one that is there already has been corrected upstream."""
    for entry in new:
        if any(_is_same(entry, old) for old in entries):
            msg = f"{where}: the list has {entry!r} already; delete the action, or update that entry"
            raise CodegenError(msg)
    entries.extend(new)
    return bool(new)


def _is_same(one: Any, other: Any) -> Any:
    """Equal, or two declarations of the same parameter."""
    if isinstance(one, dict) and isinstance(other, dict) and {"in", "name"} <= one.keys() & other.keys():
        return (one["in"], one["name"]) == (other["in"], other["name"])
    return one == other


def _order(parts: Sequence[str | int]) -> list[tuple[int, str]]:
    return [(part, "") if isinstance(part, int) else (-1, part) for part in parts]


def _remove(document: dict[str, Any], parts: Sequence[str | int]) -> None:
    holder: Any = document
    for part in parts[:-1]:
        holder = holder[part]
    del holder[parts[-1]]
