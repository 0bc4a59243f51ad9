"""A rendering of our contract in the published style: each fact in prose is worded in several ways, in turn.

For tests only. The sentences are ours, after the known patterns of the service's file.
"""

from __future__ import annotations

import copy
import re
from itertools import cycle
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

Json = dict[str, Any]

INTROS = (
    "You can add any of these to the response by naming them in `include`, as in `include=one,another`.\n",
    "The associations below may be sideloaded.\n\n",
    "<p>Associated objects are sent along when <code>include</code> names them:</p>\n",
)
LISTS = (
    "A comma separated list of {what}.",
    "Give multiple {what} by separating them with commas.",
    "One or more {what} can be given, comma-separated.",
    "{What}, separated by commas.",
    "Supports multiple {what}; put commas between them.",
)
MAXIMA = (
    "Up to {n}.",
    "No more than {n} are accepted.",
    "The maximum is {n}.",
    "Limited to {n}.",
    "{n} or fewer.",
)
VALUES = (
    "Can be one of {ticked}.",
    "Valid values: {ticked}.",
    "Allowed values: {ticked}.",
    "Must be one of the following: {ticked}.",
    "Possible values are:\n{bullets}",
    "One of {ticked}",
    "Supported values: {quoted}.",
)
BOUND = (
    "`{field}` will only be included in the response if `{name}` is in the list of included associations.",
    "Only present when the `{name}` association is included.",
    "This is sent only if `{name}` is requested through `include`.",
)
OPTIONAL = (
    "Only returned when requested through the optional_fields param.",
    "Not part of the response unless `optional_fields` asks for it.",
)
BULK = (
    "This endpoint supports bulk creating up to {n} objects. Wrap an array in the plural key.",
    "Up to {n} objects can be created or updated at once.",
    "No more than {n} records can be created in one request.",
)
RATE = ("This endpoint has its own rate limit.", "A separate rate limit applies here.")
KEYS = (
    "Included objects are in the `{key}` top-level key.",
    "They are returned under the `{key}` key.",
)


def published(contract: Json) -> Json:
    """The contract with every description in a publisher's words; facts that only a description has are kept."""
    document = copy.deepcopy(contract)
    words = _Words()
    for name, definition in document.get("definitions", {}).items():
        if "description" in definition:
            definition["description"] = f"<b>{name}</b> objects, as the account sees them."
        _reword_properties(definition, words)
    for item in document["paths"].values():
        for operation in item.values():
            _reword_operation(operation, words)
    return document


class _Words:
    """Each family's wordings in turn."""

    def __init__(self) -> None:
        self._cycles: dict[tuple[str, ...], Iterator[str]] = {}

    def of(self, family: tuple[str, ...], **facts: object) -> str:
        wording = next(self._cycles.setdefault(family, cycle(family)))
        return wording.format(**facts)


def _reword_operation(operation: Json, words: _Words) -> None:
    text = operation.get("description", "")
    said: list[str] = [
        "This endpoint returns structured objects, indexed by id below their <b>top-level</b> key."
    ]
    if match := re.search(r"(?:Takes|Deletes|Updates) up to (\d+) objects in one request", text):
        said.append(words.of(BULK, n=match[1]))
    if "own rate limit" in text:
        said.append(words.of(RATE))
    operation["description"] = "\n\n".join(said)
    operation["operationId"] = f"{operation['operationId']} "
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "query":
            _reword_parameter(parameter, words)
        elif "schema" in parameter:
            _reword_properties(parameter["schema"], words)
    for response in operation["responses"].values():
        response["description"] = "A response in JSON."
        if "schema" in response:
            _reword_properties(response["schema"], words)


def _reword_parameter(parameter: Json, words: _Words) -> None:
    text, name = parameter.get("description", ""), parameter["name"]
    if name == "include":
        parameter["description"] = _include(text, words)
        return
    many = parameter["type"] == "string" and re.match(
        r"(?:Csv|Comma-separated)\b(?! file| geography)|.*\bcsv (?:or array|in URL)\b", text
    )
    said: list[str] = []
    what = name.replace("_", " ")
    if many:
        said.append(words.of(LISTS, what=what, What=what.capitalize()))
    if (many or name.endswith("ids")) and (most := re.search(r"(?:at most|max) (\d+)", text)):
        said.append(words.of(MAXIMA, n=most[1]))
    if values := re.search(r"Valid values: ((?:`[^`]+`[^`.;]*)+)", text):
        said.append(_values(re.findall(r"`([^`]+)`", values[1]), words))
    if default := re.search(r"default (true|false)\.", text):
        said.append(f"Defaults to `{default[1]}`.")
    if "Deprecated." in text:
        said.append("This parameter is deprecated.")
    parameter["description"] = " ".join(said) or f"Restricts the result by {what}."


def _include(text: str, words: _Words) -> str:
    lines = [words.of(INTROS)]
    for entry in text.split("\n")[1:]:
        match = re.match(r"- `(\w+)` \(([\w:]+)\)(?: - (.*))?", entry)
        assert match, entry
        name, kind, rest = match[1], match[2], match[3] or ""
        line = f"- `{name}` ({kind})."
        if field := re.search(r"referenced by `(\w+)`", rest):
            line += f" The ids are in the field `{field[1]}`."
        if key := re.search(r"found under `(\w+)`", rest):
            line += f" {words.of(KEYS, key=key[1])}"
        lines.append(line + "\n")
    return "".join(lines)


def _values(values: list[str], words: _Words) -> str:
    ticked = [f"`{each}`" for each in values]
    sentence = ", ".join(ticked[:-1]) + f", or {ticked[-1]}" if len(ticked) > 1 else ticked[0]
    return words.of(
        VALUES,
        ticked=sentence,
        bullets="\n".join(f"- {each}" for each in ticked),
        quoted=", ".join(f'"{each}"' for each in values),
    )


def _reword_properties(schema: Any, words: _Words) -> None:
    if isinstance(schema, list):
        for each in schema:
            _reword_properties(each, words)
    if not isinstance(schema, dict):
        return
    for name, value in schema.get("properties", {}).items():
        text = value.get("description", "") if isinstance(value, dict) else ""
        if text:
            value["description"] = _property(name, text, words)
    for key, value in schema.items():
        if key == "properties":
            for each in value.values():
                _reword_properties(each, words)
        elif key in ("items", "additionalProperties", "schema"):
            _reword_properties(value, words)


def _property(name: str, text: str, words: _Words) -> str:
    said = [f"The {name.replace('_', ' ')} of it."]
    if bound := re.search(r"`include` names `(\w+)`", text):
        said.append(words.of(BOUND, field=name, name=bound[1]))
    if "optional_fields" in text:
        said.append(words.of(OPTIONAL))
    if values := re.search(r"Valid values: ((?:`[^`]+`[^`.;]*)+)", text):
        said.append(_values(re.findall(r"`([^`]+)`", values[1]), words))
    return " ".join(said)
