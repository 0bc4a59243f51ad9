"""Wording: summaries of operations and sentences about arguments for the docstrings of the generated code.

`overrides/wording.yaml` has sentences of our own; what it does not have is worded by the contract's prose, where it
says something, and otherwise by rules from names and types.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import attrs

from codegen import names
from codegen.errors import CodegenError, guarded, of_file, outdated, reading
from codegen.load import load_data
from codegen.prose import BULK, RATE, says
from codegen.text import sentence

if TYPE_CHECKING:
    from pathlib import Path

    from codegen.facts import Argument, Facts, ModelFacts, OperationFacts

_VERBS = {"list": "List", "get": "Get", "create": "Create", "update": "Update", "delete": "Delete"}
_IMPERATIVE = {
    "Applying": "Apply",
    "Creating": "Create",
    "Deleting": "Delete",
    "Exporting": "Export",
    "Fetching": "Get",
    "Getting": "Get",
    "Importing": "Import",
    "Listing": "List",
    "Removing": "Remove",
    "Retrieving": "Get",
    "Sending": "Send",
    "Splitting": "Split",
    "Updating": "Update",
    "Uploading": "Upload",
}
_LISTED = re.compile(
    r"^(?:(?:a )?(?:csv|comma[- ]separated)(?: list)?(?: of| or array of)?\b[:,;.]? ?)+", re.IGNORECASE
)
_NOT_SAID = re.compile(r"[;,]?\s*\bseparator not stated\b", re.IGNORECASE)
_NOUN = re.compile(r"(?:[\w-]+ ){0,3}(?:ids?|codes?|names?|tags?|numbers?|types?)", re.IGNORECASE)
_MERE_WORDS = 3
"""How long a text may be and still say no more than the name."""
_ABOUT_RECORDS = re.compile(r"^(by|with|for|in|from)_(?=\w)")
_EXCLUDING = re.compile(r"^(without|not|except|exclude)(_|$)")
_STATE = re.compile(
    r"(able|ed|active|current|private|public|paid|open|pending|fee|draft|primary|baseline|archived|standard|hard)$"
)
_DO = frozenset(
    {
        "allow",
        "burn",
        "enable",
        "enforce",
        "exclude",
        "hide",
        "include",
        "lock",
        "notify",
        "require",
        "reset",
        "round",
    }
    | {"send", "show", "split", "use"}
)
_FACTS = re.compile(r"(?:Valid values|Known values|Present only|Present when|Returned only|Deprecated)\b")
_TIME = frozenset({"date", "datetime"})


@attrs.frozen
class Wording:
    """The sentences of `overrides/wording.yaml`."""

    summaries: Mapping[str, str] = attrs.field(factory=dict[str, str])
    """`METHOD /path` → what the operation does."""
    descriptions: Mapping[str, str] = attrs.field(factory=dict[str, str])
    """`METHOD /path` → what else there is to know, instead of the contract's description."""
    parameters: Mapping[str, str] = attrs.field(factory=dict[str, str])
    """Name, `resource.name` or `object.name` → what the argument means."""
    filters: Mapping[str, str] = attrs.field(factory=dict[str, str])
    """The same for query parameters of lists, where it differs."""
    notes: Mapping[str, str] = attrs.field(factory=dict[str, str])
    """What the contract says of a field → how the docstrings say it."""

    def summary(self, operation: OperationFacts) -> str:
        """What an operation does, as a sentence in the imperative."""
        if operation.id in self.summaries:
            return self.summaries[operation.id]
        many, one = _words(operation.resource), _words(names.singular(operation.resource))
        if verb := _VERBS.get(operation.name):
            if operation.name == "list":
                return f"{verb} {many}."
            return f"{verb} {one if operation.result == 'object' and one == many else _a(one)}."
        if operation.name == "delete_many":
            return f"Delete {many}."
        first, _, rest = operation.summary.partition(" ")
        said = f"{_IMPERATIVE.get(first, first)} {rest}".strip()
        return sentence(said or f"{_words(operation.name)} ({many})")

    def description(self, operation: OperationFacts) -> str:
        """What else there is to know of an operation, without its limits, which the templates add."""
        if operation.id in self.descriptions:
            return self.descriptions[operation.id]
        sentences = re.split(r"(?<=[.!?])\s+", " ".join(operation.description.split()))
        return " ".join(each for each in sentences if not says((*RATE, *BULK), each))

    def note(self, description: str) -> str:
        """A field's description, with our sentence in place of the contract's."""
        text, facts = _parted(description)
        return f"{self.notes.get(text, text)} {facts}".strip()

    def _own(self, name: str, owner: str, *, filters: bool) -> str | None:
        sections = (self.filters, self.parameters) if filters else (self.parameters,)
        keys = (f"{owner}.{name}", name)
        return next((section[key] for key in keys for section in sections if key in section), None)

    def argument(self, argument: Argument, owner: str, *, filters: bool) -> str:
        """What an argument means, with its unit and its default.

        Args:
            argument: A parameter, or a property of a body.
            owner: The resource, or the object that has the property, in snake case.
            filters: Whether it narrows a list down.
        """
        text = (
            self._own(argument.name, owner, filters=filters)
            or _said(argument, filters=filters)
            or _derived(argument, owner, filters=filters)
        )
        parts = [sentence(text)]
        if argument.deprecated and "deprecated" not in text.lower():
            parts.append("Deprecated.")
        if argument.kind == "datetime":
            parts.append("Must have a time zone.")
        if argument.name.endswith("_in_cents") and "cent" not in text.lower():
            parts.append("In cents.")
        if argument.default is not None and argument.name not in ("page", "per_page"):
            parts.append(f"Default: `{argument.default}`.")
        if argument.many and argument.maximum and str(argument.maximum) not in text:
            parts.append(f"At most {argument.maximum}.")
        return " ".join(parts)


def load_wording(path: Path, facts: Facts) -> Wording:
    """Read the sentences, and check that each is about something.

    Args:
        path: `overrides/wording.yaml`.
        facts: What `codegen.describe` found.

    Raises:
        CodegenError: A section is unknown, a sentence is not text, or a name is not in the contract.
    """
    data = load_data(path)
    known = _nameable(facts)
    with of_file(path), reading("the wording"):
        sections = [each.name for each in attrs.fields(Wording)]
        if unknown := data.keys() - set(sections):
            msg = (
                f"unknown sections {sorted(unknown)}: there are {', '.join(f'`{each}`' for each in sections)}"
            )
            raise CodegenError(msg, (min(unknown),))
        for section in sections:
            for name, text in cast("dict[str, Any]", data.get(section, {})).items():
                with guarded(section, name):
                    if not isinstance(text, str):
                        msg = f"{section}: {name}: expected a sentence, got {text!r}"
                        raise CodegenError(msg)
                    # Notes are keyed by the publisher's sentences, which a new wording may lack.
                    if section in known and name not in known[section]:
                        msg = f"{section}: the contract has no {name!r}; delete the line, or correct it"
                        outdated(msg, (section, name), facts=True)
    return Wording(**{section: data.get(section, {}) for section in sections})


def _nameable(facts: Facts) -> dict[str, set[str]]:
    """What each section can have sentences about."""
    operations, parameters, filters = set[str](), set[str](), set[str]()
    for resource in facts.resources:
        for operation in resource.operations:
            operations.add(operation.id)
            for argument in operation.arguments:
                parameters |= {argument.name, f"{resource.name}.{argument.name}"}
            for argument in operation.query if _is_list(operation) else ():
                filters |= {argument.name, f"{resource.name}.{argument.name}"}
    for each in facts.inputs:
        for argument in each.arguments:
            parameters |= {argument.name, f"{_owner(each.name)}.{argument.name}"}
    return {
        "summaries": operations,
        "descriptions": operations,
        "parameters": parameters,
        "filters": filters,
    }


def _parted(description: str) -> tuple[str, str]:
    """(what a field's description says, what of it states values and conditions)."""
    found = _FACTS.search(description)
    at = found.start() if found else len(description)
    return description[:at].strip(), description[at:]


def word(facts: Facts, wording: Wording) -> Facts:
    """The facts with every summary and every description of an argument as the docstrings print them."""
    resources = tuple(
        attrs.evolve(resource, operations=tuple(_worded(each, wording) for each in resource.operations))
        for resource in facts.resources
    )
    owners = {
        operation.body.input_class: operation.resource
        for resource in resources
        for operation in resource.operations
        if operation.body is not None
    }
    inputs = tuple(
        attrs.evolve(
            each,
            arguments=_arguments(each.arguments, owners.get(each.name) or _owner(each.name), wording),
        )
        for each in facts.inputs
    )
    models = tuple(_noted(each, wording) for each in facts.models)
    return attrs.evolve(facts, resources=resources, inputs=inputs, models=models)


def _noted(model: ModelFacts, wording: Wording) -> ModelFacts:
    fields = tuple(attrs.evolve(each, description=wording.note(each.description)) for each in model.fields)
    nested = tuple(_noted(each, wording) for each in model.nested)
    return attrs.evolve(model, fields=fields, nested=nested)


def _worded(operation: OperationFacts, wording: Wording) -> OperationFacts:
    owner = operation.resource
    body = operation.body
    if body is not None:
        body = attrs.evolve(body, arguments=_arguments(body.arguments, owner, wording))
    return attrs.evolve(
        operation,
        summary=wording.summary(operation),
        description=wording.description(operation),
        query=_arguments(operation.query, owner, wording, filters=_is_list(operation)),
        body=body,
    )


def _arguments(
    arguments: tuple[Argument, ...], owner: str, wording: Wording, *, filters: bool = False
) -> tuple[Argument, ...]:
    return tuple(
        attrs.evolve(each, description=wording.argument(each, owner, filters=filters)) for each in arguments
    )


def _is_list(operation: OperationFacts) -> bool:
    """Whether its query parameters are filters."""
    return operation.result in ("page", "array")


def _owner(input_class: str) -> str:
    """The object that an input class describes: `CreateStory` → `story`, `ExternalReferenceInput` → `external_reference`."""
    return re.sub(r"^(create|update)_|_input$", "", names.snake(input_class))


def _said(argument: Argument, *, filters: bool) -> str | None:
    """The contract's own words, if they say more than the name and the type do."""
    text = _NOT_SAID.sub("", argument.description)
    if argument.many:
        text = _LISTED.sub("", text)
    text = text.strip().rstrip(".")
    if filters and text.lower().startswith("by "):
        return "Filter " + text[0].lower() + text[1:]
    bare = set(re.findall(r"[a-z]+", text.lower())) - {"of", "the", "a", "s"}
    named = set(re.findall(r"[a-z]+", argument.name.lower())) | {"id", "ids"}
    if not text or bare <= named or _NOUN.fullmatch(text) or len(text) <= _MERE_WORDS:
        return None
    return text


def _derived(argument: Argument, owner: str, *, filters: bool) -> str:
    """A sentence by the name and the type."""
    noun = _LISTED.sub("", argument.description).strip().rstrip(".")
    noun = " ".join(_words(names.snake(each)) for each in noun.split())
    noun = noun if len(noun.split()) > 1 and _NOUN.fullmatch(noun) else ""
    if not filters:
        return _of_record(argument, _words(names.singular(owner)), noun)
    many = _words(owner)
    return _of_flag(argument.name, many) if argument.kind == "boolean" else _of_filter(argument, many, noun)


def _of_record(argument: Argument, one: str, noun: str) -> str:
    name, words = argument.name, _words(argument.keyword.strip("_"))
    if argument.kind == "boolean":
        return _whether(name, one)
    if name == "ids":
        return f"Ids of the {one} objects"
    if noun.endswith(" ids"):
        return f"Ids of the {names.plural(noun.removesuffix(' ids'))}"
    if noun:
        one_of = re.sub(r"^an? ", "", noun.removesuffix(" id"))
        return f"Id of the {one_of}" if noun.endswith(" id") else noun
    if name.endswith("_ids"):
        return f"Ids of the {names.plural(words.removesuffix(' ids'))}"
    if name.endswith("_id"):
        return f"Id of the {words.removesuffix(' id')}"
    if name.endswith(("_in_cents", "_in_subunits")):
        unit = "cents" if name.endswith("cents") else "the smallest unit of the currency"
        return f"{words.removesuffix(' in cents').removesuffix(' in subunits')} of the {one}, in {unit}"
    return f"{words} of the {one}"


def _whether(name: str, one: str) -> str:
    words = name.split("_")
    rest = " ".join(words[1:])
    if words[0] in ("can", "has", "is", "should", "actual"):
        return f"Whether the {one} {words[0]} {rest}" if words[0] != "actual" else f"Whether {_words(name)}"
    if words[0] in _DO:
        return f"Whether to {_words(name)}"
    if len(words) == 1 and _STATE.search(name):
        return f"Whether the {one} is {name}"
    if _STATE.search(name):
        return f"Whether the {one} is {_words(name)}"
    return f"`True` switches {_words(name)!r} on".replace("'", '"')


def _of_flag(name: str, many: str) -> str:
    if match := re.fullmatch(r"only_(\w+)|(\w+)_only", name):
        return f"`True`: return only {_qualified(match[1] or match[2], many)}"
    if match := re.fullmatch(r"(?:show|include|include_in)_(\w+)", name):
        return f"`True`: return {_qualified(match[1], many)} too"
    if match := re.fullmatch(r"from_(\w+)", name):
        return f"`True`: return {many} of {_words(match[1])} too"
    if match := re.fullmatch(r"(?:not|without)_(\w+)", name):
        return f"`True`: leave out {_qualified(match[1], many)}"
    if match := re.fullmatch(r"(?:is|has)_(\w+)", name):
        verb = "that are a" if name.startswith("is_") else "with"
        return f"`True`: return only {many} {verb} {_words(match[1])}"
    if match := re.fullmatch(r"in_(\w+)", name):
        return f"`True`: return only {many} in {_words(match[1])}"
    return f"`True`: return only {_qualified(name, many)}"


def _qualified(name: str, many: str) -> str:
    """`archived` → `archived stories`; what names the objects already, such as `todos`, stays."""
    words = _words(name)
    if name.startswith("from_"):
        return f"{many} of {_words(name.removeprefix('from_'))}"
    return words if words.endswith("s") and not words.endswith("ss") else f"{words} {many}"


def _of_filter(argument: Argument, many: str, noun: str) -> str:
    name = argument.name
    if name == "ids":
        return f"Ids of the {many}"
    words = _words(_EXCLUDING.sub("", name) if _EXCLUDING.match(name) else _ABOUT_RECORDS.sub("", name))
    if match := re.fullmatch(r"(\w+)_(after|before|between|on)", name):
        field, at = _words(match[1]), "time" if argument.kind == "datetime" else "date"
        field = field if field.endswith(("date", "time")) else f"{field} {at}"
        if match[2] == "between":
            return f"Return only {many} whose {field} is in this range"
        return f"Return only {many} whose {field} is {match[2]} this {at}"
    if argument.kind in _TIME:
        return f"Filter {many} by {words}"
    if _EXCLUDING.match(name):
        return f"Leave out {many} by {noun or words or 'id'}"
    if name in ("matching", "title", "name"):
        return f"Return only {many} whose name or title matches this text"
    by = noun if noun and (words in noun or noun.startswith(names.singular(words))) else words
    more = set(noun.split()) - set(words.split())
    by = f"{words} ({noun})" if more and by == words else by
    return f"Filter {many} by {by}"


def _words(name: str) -> str:
    return re.sub(r"\W+", " ", name.replace("_", " ")).strip()


def _a(one: str) -> str:
    vowel = one[0] in "aeio" or one.startswith(("um", "un", "up"))
    return f"{'an' if vowel else 'a'} {one}"
