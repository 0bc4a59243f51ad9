"""Correct: apply an OpenAPI Overlay 1.0 document, and notice corrections that no longer apply."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from jsonpath import JSONPathEnvironment
from jsonpath.exceptions import JSONPathError

from codegen.errors import CodegenError
from codegen.load import check_references, place

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_JSONPATH = JSONPathEnvironment(strict=True)  # RFC 9535 and nothing else
_REQUIRED = ("overlay", "info", "actions")


def apply(document: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """The corrected document.

    Actions apply in order, each to what the ones before made of the document. `update` merges into every
    object that the target selects: objects recursively, lists are concatenated, anything else is replaced.
    Where the target selects a list, `update` is the entry, or the list of entries, to append. `remove` takes
    the selected objects and lists out.

    Args:
        document: A contract as `codegen.load.load` returns it; not changed.
        overlay: A document by the OpenAPI Overlay Specification 1.0.

    Raises:
        CodegenError: The overlay is not one, or an action's target selects nothing, or the action changes
            nothing: the contract has moved, and the correction has to be looked at.
    """
    _check(overlay)
    corrected = _copy(document)
    for number, action in enumerate(overlay["actions"], start=1):
        _apply_action(corrected, action, f"overlay action {number} ({action['target']})")
    check_references(corrected, "the corrected contract")
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
        _check_keys(where, action, ("target",), ("description", "update", "remove"))
        if ("update" in action) == (action.get("remove") is True):
            msg = f"{where} ({action['target']}) needs either `update` or `remove: true`"
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


def _apply_action(document: dict[str, Any], action: Mapping[str, Any], where: str) -> None:
    try:
        matches = list(_JSONPATH.finditer(action["target"], document))
    except JSONPathError as error:
        msg = f"{where}: the target is not a JSONPath: {error}"
        raise CodegenError(msg) from error
    if not matches:
        msg = f"{where} selects nothing: the contract has changed there; correct or delete the action"
        raise CodegenError(msg)
    nodes = [(match.parts, cast("Any", match.obj)) for match in matches]
    for parts, node in nodes:
        if not isinstance(node, dict | list):
            msg = (
                f"{where} selects {place(parts)}, which is neither an object nor a list: select what it is in"
            )
            raise CodegenError(msg)
    if "update" in action:
        for parts, node in nodes:
            if not _update(node, _copy(action["update"]), f"{where}, at {place(parts)}"):
                msg = f"{where} changes nothing at {place(parts)}: the contract says so now; delete it"
                raise CodegenError(msg)
        return
    last_first = sorted((parts for parts, _ in nodes), key=_order, reverse=True)  # so that indices stay true
    for parts in last_first:
        if not parts:
            msg = f"{where} would remove the whole document"
            raise CodegenError(msg)
        _remove(document, parts)


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
    """Concatenate; an entry that is there already would be a correction made upstream."""
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


def _copy(node: Any) -> Any:
    """A copy that shares nothing, not even with itself: YAML's anchors put one object in two places."""
    if isinstance(node, dict):
        return {key: _copy(value) for key, value in cast("dict[str, Any]", node).items()}
    if isinstance(node, list):
        return [_copy(value) for value in cast("list[Any]", node)]
    return node


def _order(parts: Sequence[str | int]) -> list[tuple[int, str]]:
    return [(part, "") if isinstance(part, int) else (-1, part) for part in parts]


def _remove(document: dict[str, Any], parts: Sequence[str | int]) -> None:
    holder: Any = document
    for part in parts[:-1]:
        holder = holder[part]
    del holder[parts[-1]]
