"""Correct: apply an OpenAPI Overlay 1.0 document to the contract, and notice corrections that no longer apply."""

from __future__ import annotations

import copy
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

    Actions apply in order, each to what the ones before made of the document. `update` merges into every object that the
    target selects: objects recursively, lists are concatenated, anything else is replaced; of a list that the target
    selects, `update` is the entry, or the list of entries, to append. `remove` takes the selected objects and lists out.

    Args:
        document: A contract as `codegen.load.load` returns it; not changed.
        overlay: A document by the OpenAPI Overlay Specification 1.0.

    Raises:
        CodegenError: The overlay is not one, or an action's target selects nothing, or the action changes nothing: the
            contract has moved, and the correction has to be looked at.
    """
    _check(overlay)
    corrected = copy.deepcopy(dict(document))
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
        words = [*(f"lacks `{key}`" for key in missing), *(f"has `{key}`, which is unknown" for key in unknown)]
        msg = f"{where} {', '.join(words)}"
        raise CodegenError(msg)


def _apply_action(document: dict[str, Any], action: Mapping[str, Any], where: str) -> None:
    try:
        matches = list(_JSONPATH.finditer(action["target"], document))
    except JSONPathError as error:
        msg = f"{where}: the target is not a JSONPath: {error}"
        raise CodegenError(msg) from error
    if not matches:
        msg = f"{where} selects nothing: has the contract changed? Look at the place and correct or delete the action"
        raise CodegenError(msg)
    nodes = [(match.parts, cast("Any", match.obj)) for match in matches]
    for parts, node in nodes:
        if not isinstance(node, dict | list):
            msg = f"{where} selects {place(parts)}, which is neither an object nor a list: select what it is in"
            raise CodegenError(msg)
    if "update" in action:
        for parts, node in nodes:
            if not _update(node, copy.deepcopy(action["update"]), f"{where}, at {place(parts)}"):
                msg = f"{where} changes nothing at {place(parts)}: the contract says so itself now; delete the action"
                raise CodegenError(msg)
        return
    for parts, _ in sorted(nodes, key=lambda found: _order(found[0]), reverse=True):  # later entries of a list first
        if not parts:
            msg = f"{where} would remove the whole document"
            raise CodegenError(msg)
        _remove(document, parts)


def _update(node: dict[str, Any] | list[Any], value: Any, where: str) -> bool:
    """Merge `value` into `node`; whether that changed anything."""
    if isinstance(node, list):
        return _append(node, value if isinstance(value, list) else [value], where)
    if not isinstance(value, dict):
        msg = f"{where}: an object can only be updated with an object"
        raise CodegenError(msg)
    changed = False
    for key, new in cast("dict[str, Any]", value).items():
        old = node.get(key)
        if (isinstance(old, dict) and isinstance(new, dict)) or (isinstance(old, list) and isinstance(new, list)):
            changed |= _update(cast("Any", old), new, where)
        elif key not in node or old != new or type(old) is not type(new):
            node[key] = new
            changed = True
    return changed


def _append(entries: list[Any], new: list[Any], where: str) -> bool:
    """Concatenate; an entry that is there already would be a correction made upstream."""
    for entry in new:
        if entry in entries or any(_same_parameter(entry, old) for old in entries):
            named = cast("dict[str, Any]", entry).get("name", entry) if isinstance(entry, dict) else entry
            msg = f"{where}: the list has {named!r} already; delete the action, or update that entry"
            raise CodegenError(msg)
    entries.extend(new)
    return bool(new)


def _same_parameter(one: Any, other: Any) -> bool:
    return (
        isinstance(one, dict)
        and isinstance(other, dict)
        and "in" in one
        and all(one.get(key) == other.get(key) for key in ("in", "name"))
    )


def _order(parts: Sequence[str | int]) -> list[tuple[int, str]]:
    return [(part, "") if isinstance(part, int) else (-1, part) for part in parts]


def _remove(document: dict[str, Any], parts: Sequence[str | int]) -> None:
    holder: Any = document
    for part in parts[:-1]:
        holder = holder[part]
    del holder[parts[-1]]
