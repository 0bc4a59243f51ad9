"""Prose: the types, values, associations, limits and defaults that the contract states in its descriptions only.

Each family of phrases is a table here; for a new wording of the publisher, add a line. The tables read the published file's
sentences and our own in `openapi/specification.yaml`, and find the same facts in both.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any, Literal

import attrs

from codegen.errors import CodegenError
from codegen.nodes import AssociationNode
from codegen.schemas import objects_in

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from codegen.nodes import OperationNode, ParameterNode, Place

Json = dict[str, Any]


def _family(*patterns: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(each, re.IGNORECASE) for each in patterns)


_DONE = r"(?:given|supplied|specified|provided|passed|sent|listed|requested|used)"
_MANY = r"(?:one or more|multiple|several|any number of|many)"
_COMMAS = r"(?:csv|comma[- ](?:separated|delimited))"

LISTS = _family(
    rf"\b{_COMMAS}\b",
    r"\b(?:separated|delimited|split|joined) (?:by|with|using) (?:a )?commas?\b",
    r"\bcommas? (?:between|to separate)\b",
    rf"\b(?:give|supply|specify|provide|pass|enter|send|accepts?|supports?|takes?|allows?) {_MANY}\b",
    rf"\b{_MANY} (?:[\w-]+ ){{0,4}}(?:can|may) be {_DONE}\b",
    rf"\brequest {_MANY}\b",
    r"\blist of (?:[\w-]+ ){0,4}ids\b",
)
"""A text parameter that takes several values, separated by commas."""
NOT_LISTS = _family(
    rf"\b{_COMMAS} (?:values? )?file\b",
    r"\bcollectionformat\b",
    rf"\b(?:two|three|both) {_COMMAS}\b",
    rf"\b{_COMMAS}[^.]*;[^.]*\b{_COMMAS}\b",
)
"""The same words with another meaning: a file, a fixed number of values, a list of lists."""

MAXIMA = _family(
    r"\b(?:up to|at most|max(?:imum)?(?: of|:| is)?|no more than|not more than|limit(?:ed)?(?: to| of|:)|limit is) (\d+)\b",
    r"\b(\d+) (?:at most|or fewer|max(?:imum)?)\b",
    r"\b(\d+) (?:[\w-]+ )?(?:at most|or fewer|max(?:imum)?)\b",
)
"""The most values that a list takes."""
_OF_SOMETHING_ELSE = re.compile(
    r"(?:days?|minutes?|hours?|seconds?|weeks?|months?|years?|characters?|chars|letters|digits|[kmg]b|bytes|percent|%)",
    re.IGNORECASE,
)

_NOUNS = r"(?:values?|options?|choices?|types?|status(?:es)?|formats?|orders?|entries)"
VALUES = _family(
    rf"\b(?:valid|allowed|possible|accepted|acceptable|supported|permitted|available|legal) {_NOUNS}"
    r"(?: for \w+)?(?: (?:are|is|include|includes))?(?: one of)?(?: the following)?\s*[:=]?\s*",
    r"\b(?:can|may|must|should|has to|needs to|will) (?:only )?be (?:set to )?(?:one|any|either)(?: of)?(?: the following)?"
    rf"(?: {_NOUNS})?\s*:?\s*",
    rf"\b(?:one|any) of(?: the following)?(?: {_NOUNS})?\s*:?\s*",
    r"\b(?:options|values|choices|enum)\s*(?:are)?\s*:\s*",
    r"\baccepts(?: only)?\s*:?\s*(?=[`\"'])",
)
"""What stands before the values that a text may have."""

BOUND = _family(
    r"`?include`? names `(\w+)`",
    r"\bif `?(\w+)`? is (?:in|on|part of) the (?:list of )?(?:included|requested|sideloaded) associations",
    r"\b(?:when|if|once|unless) (?:the )?`(\w+)`(?: association)? (?:is|was|has been|gets) "
    r"(?:included|requested|sideloaded|loaded)",
    r"\b(?:when|if) (?:the )?(?:`?include`? )?(?:list|parameter|param) (?:has|contains|includes|names|lists) "
    r"(?:the )?`(\w+)`",
    r"`?include=(\w+)\b",
    r"\b(?:when|if) (?:you )?(?:include|including|requesting|request)(?: the)? `(\w+)`",
    r"\bneeds (?:the )?`(\w+)` (?:association )?(?:to be )?included\b",
)
"""A field that the service sends only when an association is included."""
OPTIONAL = _family(r"\boptional[_ ]fields?\b")
"""A field that the service sends only when `optional_fields` names it."""

_OBJECTS = r"(?:[\w-]+ ){0,6}"
_TOGETHER = (
    r"(?:at once|at a time|at the same time|together|per request|"
    r"(?:in|with|per) (?:one|a|a single|each|every) (?:request|call|go))"
)
BULK = _family(
    r"\bbulk[- ](?:creat|updat|upsert|delet|edit)\w*(?: (?:or|and) \w+)?(?: of)?(?: up to| at most|:)? (\d+)\b",
    rf"\b(?:up to|at most|a maximum of|max(?:imum)?(?: of)?|no more than) (\d+) {_OBJECTS}(?:can|may) be (?:bulk )?"
    r"(?:creat|updat|upsert|delet|sen[dt]|submitt|add)\w*",
    rf"\b(?:creates?|updates?|deletes?|takes?|accepts?|supports?|upserts?) (?:up to |at most |a maximum of )?(\d+) "
    rf"{_OBJECTS}{_TOGETHER}",
    rf"\b(?:up to|at most|a maximum of|no more than|limited to|limit of) (\d+) {_OBJECTS}{_TOGETHER}",
    r"\b(?:maximum|limit) (?:batch|bulk) (?:size|request)? ?(?:is|of|:)? ?(\d+)\b",
)
"""The most objects in one request."""
RATE = _family(
    r"\b(?:its|an?|their) own rate[- ]limits?\b",
    r"\brate[- ]limits? of its own\b",
    r"\b(?:separate|dedicated|individual|specific|stricter)(?:ly)? rate[- ]limit",
    r"\brate[- ]limited separately\b",
)
"""An operation with a rate limit of its own."""
DEFAULTS = _family(
    r"\bdefault(?:s to| is| value is|:| =| value:)? `?(true|false|\d+|\w+(?::\w+)?)`?(?=\s*(?:[.,;)]|$))",
    r"\bby default,? (?:it is )?`?(true|false)`?(?=\s*(?:[.,;)]|$))",
    r"[`\"'](\w+(?::\w+)?)[`\"'] (?:\((?:the )?default\)|by default|is (?:the )?default)",
)
"""What the service assumes when a parameter is not sent."""
DEPRECATED = _family(
    r"^\W*deprecated\b",
    r"\bdeprecated\s*[.:;!)\]]",
    r"\b(?:is|are|has been|was) (?:now )?deprecated\b",
    r"\(deprecated\b",
)

_ASSOCIATION = re.compile(
    r"^\s*[-*•+]\s+`?(?P<name>\w+)`?\s*\(\s*`?(?P<type>[\w:. ]+?)`?\s*\)\s*(?P<text>.*)$", re.DOTALL
)
_BULLET = re.compile(r"^\s*[-*•+]\s+")
KEYS = _family(
    r"\b(?:in|under|at|by) (?:the )?`(\w+)`(?: (?:top[- ]level|json|envelope|response))* (?:key|map|object|collection)\b",
    r"\b(?:top[- ]level|envelope|response) key (?:is |named |called )?`(\w+)`",
    r"\b(?:found|returned|listed|sideloaded|included|available) (?:under|in|at) (?:the )?`(\w+)`",
)
"""The envelope key of an association's objects."""
FIELDS = _family(
    r"\b(?:referenced|referred to|identified|linked|named) (?:by|in|through|via) (?:the )?`(\w+)`",
    r"\b(?:through|via|by way of) (?:the )?`(\w+_(?:ids?|ref))`",
    r"\b(?:foreign key|field|ids?)(?: is| are|:)? (?:in )?`(\w+_(?:ids?|ref))`",
    r"^\W*`(\w+_(?:ids?|ref))`(?=\W|$)",
)
"""The field that holds the ids of an association."""


_TAG = re.compile(
    r"</?(?:a|b|big|blockquote|em|font|h[1-6]|hr|i|img|kbd|pre|q|s|samp|small|span|strong|sub|sup|table|t[dhr]|tbody|thead|u|var)"
    r"(?:\s[^<>]*)?/?>",
    re.IGNORECASE,
)
"""HTML that publishers write; `<custom_field_id>` is a placeholder, not a tag."""


# --- reading text --------------------------------------------------------------------------------------------------


def plain(text: str) -> str:
    """Text without HTML, links and emphasis; list items are lines that begin with a hyphen, code is in backticks."""
    if "<" in text or "&" in text:
        text = re.sub(r"</?code>|</?tt>", "`", text)
        text = re.sub(r"<li[^>]*>\s*", "\n- ", text)
        text = re.sub(r"<br\s*/?>|</?(?:p|ul|ol|div|dl|dt|dd)(?:\s[^<>]*)?>|</li>", "\n", text)
        text = html.unescape(_TAG.sub("", text))
    text = re.sub(r"\[([^\[\]]+)\]\((?:https?:)?[^()\s]*\)", r"\1", text)
    text = re.sub(r"(\*\*|__)(?=\S)(.+?)(?<=\S)\1", r"\2", text)
    return re.sub(r"[ \t]+\n", "\n", text).strip()


def says(family: Iterable[re.Pattern[str]], text: str) -> bool:
    """Whether a text has a phrase of a family."""
    return any(each.search(text) for each in family)


def captured(family: Iterable[re.Pattern[str]], text: str) -> str | None:
    """The captured group of the first phrase of a family in a text."""
    found = [match for each in family if (match := each.search(text))]
    return min(found, key=lambda match: match.start())[1] if found else None


def is_list(name: str, text: str) -> bool:
    """Whether a text parameter takes several values, separated by commas."""
    if name in ("only", "ids") or name.endswith("_ids"):
        return True
    flat = " ".join(text.split())
    return says(LISTS, flat) and not says(NOT_LISTS, flat)


def most(text: str) -> int | None:
    """The most values that a list takes."""
    flat = " ".join(text.split())
    for each in MAXIMA:
        for match in each.finditer(flat):
            if not _OF_SOMETHING_ELSE.match(flat[match.end() :].lstrip()):
                return int(match[1])
    return None


def bulk_limit(text: str) -> int | None:
    """The most objects in one request, as an operation's description says it."""
    found = captured(BULK, " ".join(text.split()))
    return int(found) if found else None


def default_of(kind: str | None, values: Iterable[str], text: str) -> str | int | bool | None:
    """What the service assumes, if the text says so in a value of that kind."""
    found = captured(DEFAULTS, " ".join(text.split()))
    if found is None:
        return None
    if kind == "boolean":
        return {"true": True, "false": False}.get(found.lower())
    if kind == "integer":
        return int(found) if found.isdecimal() else None
    return found if found in values else None


# --- values --------------------------------------------------------------------------------------------------------

_QUOTED = re.compile(r"`([^`\n]+)`|\"([^\"\n]+)\"|'([^'\n]+)'")
_AFTER_ITEM = re.compile(r"\s*\([^()]*\)")
_EXPLANATION = re.compile(r"\s*(?:[-\u2013\u2014:=]|means)\s+[^\n`]*(?=\n|$)")
_SEPARATOR = re.compile(r"\s*(?:[,;|/]|\n\s*[-*•+]?|\b(?:or|and|as well as)\b|&)\s*", re.IGNORECASE)
_START = re.compile(r"\s*(?:[-*•+]\s+)?")
_BARE = re.compile(r"[A-Za-z_][\w+:/]*(?:-\w+)*(?: [A-Z]\w*){0,3}")


def values_in(text: str) -> tuple[tuple[str, ...], str]:
    """(values, the text without them) that a description lists for a text.

    Values are in backticks or quotes, or bare words, after one of the phrases in `VALUES`, with commas between or one a
    line.
    """
    for family in VALUES:
        for match in family.finditer(text):
            for read in (_quoted_values, _bare_values):
                values, end = read(text, match.end())
                if values:
                    rest = text[: match.start()].rstrip() + " " + text[end:].lstrip(". \n")
                    return values, rest.strip()
    return (), text


def _separators(text: str, at: int) -> tuple[int, bool]:
    """(place of the next item, whether there was something between)."""
    start = at
    while (match := _SEPARATOR.match(text, at)) and match.end() > at:
        at = match.end()
    return at, at > start


def _quoted_values(text: str, at: int) -> tuple[tuple[str, ...], int]:
    found: list[str] = []
    start = _START.match(text, at)
    at = start.end() if start else at
    while match := _QUOTED.match(text, at):
        found.append(next(group for group in match.groups() if group is not None))
        end = at = match.end()
        for extra in (_AFTER_ITEM, _EXPLANATION):
            if after := extra.match(text, at):
                at = after.end()
        at, more = _separators(text, at)
        if not more:
            return tuple(dict.fromkeys(found)), end
    return tuple(dict.fromkeys(found)), at if found else 0


def _bare_values(text: str, at: int) -> tuple[tuple[str, ...], int]:
    found: list[str] = []
    start = _START.match(text, at)
    at = end = start.end() if start else at
    while match := _BARE.match(text, at):
        found.append(match[0])
        at = match.end()
        for extra in (_AFTER_ITEM, _EXPLANATION):
            if after := extra.match(text, at):
                at = after.end()
        end = at
        at, more = _separators(text, at)
        if not more:
            break
    stops = re.match(r"\s*(?:[.;(]|$)", text[end:])
    lone = len(found) < 2 or found[0].lower() in (
        "the",
        "a",
        "an",
        "these",
        "those",
        "your",
        "our",
        "this",
        "its",
    )
    return ((), 0) if lone or not stops else (tuple(dict.fromkeys(found)), end)


def read_values(schema: Json, prose: str) -> str:
    """Make an `enum` of the values that prose lists for a text; the prose without them."""
    text = schema["items"] if schema.get("type") == "array" else schema
    if text.get("type") != "string" or "enum" in text or "format" in text:
        return prose
    values, rest = values_in(plain(prose))
    if not values:
        return prose
    text["enum"] = list(values)
    return rest


def read_values_inside(schema: Json) -> None:
    """The same for every property of a body, in place."""
    for value in schema.get("properties", {}).values():
        if value.get("description"):
            value["description"] = read_values(value, value["description"])
        for inner in objects_in(value):
            read_values_inside(inner)


# --- parameters ----------------------------------------------------------------------------------------------------


def read_parameters(node: OperationNode) -> OperationNode:
    """The operation with the types of its query parameters and the associations that the prose gives them.

    Raises:
        CodegenError: A line of `include` does not describe an association.
    """
    associations: tuple[AssociationNode, ...] = ()
    parameters: list[ParameterNode] = []
    for parameter in node.parameters:
        if parameter.location != "query":
            parameters.append(parameter)
        elif parameter.name == "include":
            associations = read_associations(node.id, parameter.description, parameter.place)
            listed = _formal_values(parameter.schema) or tuple(each.name for each in associations)
            associations = _listed(node, parameter, associations, listed)
            schema = {"type": "array", "items": {"type": "string", "enum": list(listed)}}
            parameters.append(attrs.evolve(parameter, schema=schema, description=""))
        else:
            parameters.append(_read_parameter(parameter))
    return attrs.evolve(node, parameters=tuple(parameters), associations=associations)


def _formal_values(schema: Json) -> tuple[str, ...]:
    holder: Json = schema["items"] if isinstance(schema.get("items"), dict) else schema
    return tuple(holder.get("enum", ()))


def _listed(
    node: OperationNode,
    parameter: ParameterNode,
    described: tuple[AssociationNode, ...],
    listed: tuple[str, ...],
) -> tuple[AssociationNode, ...]:
    """The associations that the parameter takes, those without a description of unknown type."""
    if not listed:
        msg = f'{node.id}: no association is listed for `include`: list them in its description, as "- `name` (Type)"'
        raise CodegenError(msg, parameter.place)
    known = {each.name: each for each in described}
    return tuple(
        known.get(name, AssociationNode(name, "", None, None, "", parameter.place)) for name in listed
    )


def _read_parameter(parameter: ParameterNode) -> ParameterNode:
    schema: Json = dict(parameter.schema)
    if isinstance(schema.get("items"), dict):
        schema["items"] = dict(schema["items"])
    prose = plain(parameter.description)
    rest = read_values(schema, prose)
    if schema.get("type") == "string" and "format" not in schema and is_list(parameter.name, rest or prose):
        schema = {"type": "array", "items": schema}
    if schema.get("type") == "array" and "maxItems" not in schema and (limit := most(rest)):
        schema["maxItems"] = limit
    default = parameter.default
    if default is None:
        item = schema["items"] if schema.get("type") == "array" else schema
        default = default_of(item.get("type"), item.get("enum", ()), prose)
    deprecated = parameter.deprecated or says(DEPRECATED, prose)
    return attrs.evolve(parameter, schema=schema, description=rest, default=default, deprecated=deprecated)


# --- associations --------------------------------------------------------------------------------------------------


def read_associations(where: str, prose: str, place: Place) -> tuple[AssociationNode, ...]:
    """The associations that the description of an `include` parameter lists, one a line.

    Raises:
        CodegenError: A line after the first association does not describe one.
    """
    entries: list[str] = []
    for line in plain(prose).split("\n"):
        if _BULLET.match(line):
            entries.append(line)
        elif entries and line.startswith((" ", "\t")) and line.strip():
            entries[-1] += " " + line.strip()
        elif entries and line.strip():
            msg = (
                f"{where}: line {line.strip()!r} of the include parameter does not describe an association: write it as "
                '"- `name` (Type). Text", or remove it in overrides/overlay.yaml'
            )
            raise CodegenError(msg, place)
    return tuple(_association(where, each, place) for each in entries)


def _association(where: str, line: str, place: Place) -> AssociationNode:
    entry = _ASSOCIATION.match(line)
    if entry is None:
        msg = f'{where}: association {line!r} can\'t be read: write it as "- `name` (Type). Text" in overrides/overlay.yaml'
        raise CodegenError(msg, place)
    text = entry["text"].strip().lstrip(".-\u2013\u2014:; ").strip()
    kind = entry["type"].strip()
    notes = [
        part.strip(" .;,")
        for part in re.split(r"(?<=[.!?])\s+(?=[A-Z`])|;\s*|,\s*(?=found under)", text)
        if part.strip(" .;,") and not says((*KEYS, *FIELDS), part)
    ]
    return AssociationNode(
        name=entry["name"],
        type="polymorphic" if kind.lower().startswith("polymorphic") else kind.split()[-1].replace(".", "::"),
        field=captured(FIELDS, text),
        key=captured(KEYS, text),
        note="; ".join(notes),
        place=place,
    )


# --- fields of models ---------------------------------------------------------------------------------------------

_ONLY_ON_REQUEST = re.compile(
    r"\b(?:only|present|unless)\b[^.]*\binclude|\binclude[ds]?\b[^.]*\b(?:only|if|when)\b", re.IGNORECASE
)
_NAMED = re.compile(r"`(\w+)`")


def sent_on_request(
    prose: str, fields: Collection[str]
) -> tuple[Literal["include", "optional_fields"], str] | None:
    """The query parameter that has to name something for a field to be sent, and the association it has to name.

    Args:
        prose: The description of the field.
        fields: The names of all fields of its model; none of them is an association.

    Returns:
        The parameter and the association (empty for `optional_fields`, which takes the field's own name); `None` for a
        field that is always sent.
    """
    for sentence in re.split(r"(?<=\.)\s+", plain(prose)):
        if says(OPTIONAL, sentence):
            return "optional_fields", ""
        if bound := captured(BOUND, sentence):
            return "include", bound
        if _ONLY_ON_REQUEST.search(sentence):
            named = [name for name in _NAMED.findall(sentence) if name != "include" and name not in fields]
            if named:
                return "include", named[-1]
    return None
