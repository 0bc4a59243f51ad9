"""Views: the facts, with derived texts and annotations for the templates."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import attrs

from codegen import names
from codegen.text import one_or_many, sentence

if TYPE_CHECKING:
    from collections.abc import Iterable

    from codegen.facts import (
        AssociationFacts,
        FieldFacts,
        InputFacts,
        ModelFacts,
        OperationFacts,
        ResourceFacts,
    )

_PERFORMERS = {
    "page": "_page",
    "array": "_page",
    "one": "_one",
    "keyed": "_one",
    "object": "_one",
    "many": "_many",
    "none": "_none",
    "file": "_file",
}


class _View:
    """A fact, with derived attributes for the templates."""

    def __init__(self, facts: object) -> None:
        self.facts = facts

    def __getattr__(self, name: str) -> Any:
        return getattr(self.facts, name)


class OperationView(_View):
    facts: OperationFacts

    @property
    def is_page(self) -> bool:
        return self.facts.result in ("page", "array")

    @property
    def writes(self) -> bool:
        """Whether it can have a body."""
        return self.facts.body is not None or self.facts.method in ("POST", "PUT", "PATCH")

    @property
    def performer(self) -> str:
        return _PERFORMERS[self.facts.result]

    @property
    def singular(self) -> str:
        return names.singular(self.facts.resource).replace("_", " ")

    @property
    def returns(self) -> str:
        return {
            "page": f"Paginator[{self.facts.model}]",
            "array": f"Paginator[{self.facts.model}]",
            "many": f"builtins.list[{self.facts.model}]",
            "none": "None",
            "file": "bytes",
        }.get(
            self.facts.result,
            " | ".join(filter(None, (self.facts.model, (self.facts.alternative or ("", ""))[1]))),
        )

    @property
    def documentation(self) -> str:
        parts = [sentence(self.facts.summary)]
        if self.facts.description:
            parts.append(sentence(self.facts.description))
        if self.facts.name == "create" and self.facts.bulk_limit:
            parts.append("To create many, use `create_many`.")
        if self.facts.deprecated and "deprecated" not in self.facts.description.lower():
            parts.append("Deprecated: the service may remove this operation.")
        if self.facts.own_rate_limit:
            parts.append("This operation has a rate limit of its own.")
        return "\n\n".join(parts)

    @property
    def returning(self) -> str | None:
        model, result = self.facts.model, self.facts.result
        if result in ("page", "array"):
            return (
                f"A paginator of `{model}` objects: use `async for`, `pages`, `first`, `one`, `count` or `collect`. "
                "Nothing is sent until then."
                + (
                    f" `stable()` walks in the order of `{self.facts.stable_by}`."
                    if self.facts.stable_by
                    else ""
                )
            )
        if result == "many":
            return f"The `{model}` objects of the answer, in the order of the service."
        if result == "file":
            return "The file's content."
        if self.facts.alternative:
            asks, other = self.facts.alternative
            return f"The `{model}`; with `{asks}`, the `{other}`."
        return None if result == "none" else f"The `{model}`."


@attrs.frozen
class Option:
    """A keyword argument of a bulk method."""

    keyword: str
    annotation: str
    default: str
    described: str


CONCURRENCY = Option("concurrency", "int", "4", "How many requests may be in flight at once.")
PROGRESS = Option(
    "progress",
    "Progress | None",
    "None",
    "Called with the numbers of finished and of all items (`None` if async).",
)
KEY = Option(
    "key",
    "ExternalReferenceKey | None",
    "None",
    "How to find an item by its external reference. Items that exist already are found instead of created again, "
    "in a rerun too.",
)
ATOMIC = Option(
    "atomic",
    "bool",
    "False",
    "Whether the service undoes a refused request, so that its valid items can be sent again. The API does not promise "
    "this; where it does not hold, items are created twice.",
)
EXTRA_QUERY = Option(
    "extra_query",
    "Mapping[str, object] | None",
    "None",
    "Query parameters that the contract lacks, for each request.",
)
EXTRA_BODY = Option(
    "extra_body",
    "Mapping[str, object] | Callable[[Any], Mapping[str, object] | None] | None",
    "None",
    "What the contract lacks, for each item: a mapping, or a function of the item.",
)
EXTRA_PROPERTIES = Option(
    "extra_body",
    "Mapping[str, object] | None",
    "None",
    "Properties that the contract lacks, for each request.",
)
DESCRIPTION = Option("description", "str | None", "None", "A comment on the decision.")


@attrs.frozen
class Bulk:
    """A bulk method of a resource: `create_many`, `update_many`, `delete_many`, or a decision."""

    name: str
    source: str
    argument: str
    annotation: str
    of: str
    documentation: str
    described: str
    call: tuple[str, ...]
    """The arguments of the call that come before the items."""
    options: tuple[Option, ...] = ()
    extra: str = ""
    query: tuple[str, ...] = ()
    """Options that are query parameters of the call."""
    keyed: str = ""
    """The annotation of the items with a `key`, where it allows more: the reference need not be a property of the API."""


def _several(item: str, later: str | None = None) -> str:
    """The annotation of an input; `later` is what an async one may yield, where that is more."""
    return f"Iterable[{item}] | AsyncIterable[{later or item}]"


class ResourceView(_View):
    facts: ResourceFacts

    @cached_property
    def operations(self) -> list[OperationView]:
        return [OperationView(each) for each in self.facts.operations]

    @property
    def single_calls(self) -> list[str]:
        """The methods that return one result, in the order of the class."""
        generated = [each.name for each in self.operations if not each.is_page and each.name != "delete_many"]
        return [*generated, *self.facts.handwritten_calls]

    @property
    def file_calls(self) -> list[str]:
        """The methods that return the content of a file."""
        return [each.name for each in self.operations if each.facts.result == "file"]

    @property
    def title(self) -> str:
        return self.facts.operations[0].tags[0] if self.facts.operations[0].tags else self.facts.name

    @property
    def plural(self) -> str:
        return self.facts.name.replace("_", " ")

    @property
    def models(self) -> list[str]:
        returned = {
            each.model for each in self.facts.operations if each.model and each.result not in ("none", "file")
        }
        returned |= {each.alternative[1] for each in self.facts.operations if each.alternative}
        return sorted(returned | ({"Resolution"} if self.facts.decisions else set()))

    @property
    def inputs(self) -> list[str]:
        found = {
            name
            for operation in self.facts.operations
            for argument in (*operation.query, *(operation.body.arguments if operation.body else ()))
            for name in argument.models
        }
        found |= {
            operation.body.input_class
            for operation in self.facts.operations
            if operation.body
            and (
                (operation.name == "create" and _creates_many(operation))
                or (operation.name == "update" and _updates_singly(operation))
            )
        }
        found |= {
            f"{operation.body.input_class}ById"
            for operation in self.facts.operations
            if operation.body and operation.name == "update" and _updates_singly(operation)
        }
        return sorted(found)

    @property
    def bulks(self) -> list[Bulk]:
        by_name = {operation.facts.name: operation.facts for operation in self.operations}
        found = [self._creation(by_name.get("create")), self._update(by_name)]
        found.append(self._deletion(by_name.get("delete_many"), by_name.get("delete")))
        found += [self._decision(name, *decision) for name, decision in self.facts.decisions.items()]
        return [each for each in found if each is not None]

    def _creation(self, operation: OperationFacts | None) -> Bulk | None:
        if operation is None or operation.body is None or not _creates_many(operation):
            return None
        model = str(operation.model)
        typed = f"{operation.body.input_class} | {model}"
        several = f"{operation.bulk_limit} per request" if operation.bulk_limit else "one request each"
        text = f"Create many {self.plural}, {several}."
        if operation.upsert:
            text += " Those that exist already are updated, so writing one twice does no harm."
        return Bulk(
            "create_many",
            operation.id,
            "items",
            _several(typed, f"{typed} | Mapping[str, object]"),
            model,
            text,
            f"What to create: dictionaries with the arguments of `create`, or `{model}` objects.",
            (operation.constant, model),
            (
                *_loading(operation),
                *((KEY,) if operation.external_reference else ()),
                *((ATOMIC,) if operation.bulk_limit and not operation.upsert else ()),
                CONCURRENCY,
                PROGRESS,
                EXTRA_QUERY,
                EXTRA_BODY,
            ),
            query=tuple(each.keyword for each in _loading(operation)),
            keyed=_several(f"{typed} | Mapping[str, object]") if operation.external_reference else "",
        )

    def _update(self, by_name: dict[str, OperationFacts]) -> Bulk | None:
        operation, creation = by_name.get("update"), by_name.get("create")
        if operation is None or operation.body is None or not _updates_singly(operation):
            return None
        model, changes = str(operation.model), operation.body.input_class
        text = f"Update many {self.plural}, one request each."
        upsert = creation is not None and creation.upsert and creation.bulk_limit and creation.body
        if creation and upsert and creation.body:
            needed = [argument.keyword for argument in creation.body.arguments if argument.required]
            text = (
                f"Update many {self.plural}. Items that have {', '.join(f'`{each}`' for each in needed)} are sent "
                f"{creation.bulk_limit} per request with `{creation.id}` (their ids may change); others one request each."
            )
        whole = f"{changes}ById"
        if creation and upsert and creation.body:
            whole += f" | {creation.body.input_class}"
        return Bulk(
            "update_many",
            f"{operation.id}, {creation.id}" if creation and upsert else operation.id,
            "items",
            _several(
                f"tuple[int | str, {changes}] | {whole} | {model}",
                f"tuple[int | str, {changes} | Mapping[str, object]] | {model} | Mapping[str, object]",
            ),
            model,
            text,
            "What to change, with the arguments of `update`: pairs of an id and a dictionary, dictionaries with an `id`, "
            f"or `{model}` objects made with `replace`.",
            (operation.constant, model),
            (*_loading(operation), CONCURRENCY, PROGRESS, EXTRA_QUERY, EXTRA_BODY),
            f"upsert={creation.constant}" if creation and upsert else "",
            tuple(each.keyword for each in _loading(operation)),
        )

    def _deletion(self, several: OperationFacts | None, single: OperationFacts | None) -> Bulk | None:
        operation = several or single
        if operation is None or len(operation.path_arguments) > 1:
            return None
        by_ids = not operation.path_arguments
        if by_ids and "ids" not in {argument.name for argument in operation.query}:
            return None
        kinds, described = self._identified
        return Bulk(
            "delete_many",
            operation.id,
            "ids",
            kinds,
            "None",
            f"Delete many {self.plural}, {operation.bulk_limit} per request. If the service refuses "
            "a request, its other ids are sent again without those at fault."
            if by_ids
            else f"Delete many {self.plural}, one request each.",
            described,
            (operation.constant,),
            (CONCURRENCY, PROGRESS, EXTRA_QUERY),
        )

    def _decision(self, name: str, operation: str, most: int) -> Bulk:
        verb = name.removesuffix("_many")
        kinds, described = self._identified
        return Bulk(
            name,
            operation,
            "ids",
            kinds,
            "Resolution",
            f"{verb.capitalize()} many {self.plural}, {most} per request; the results are resolutions.",
            described,
            (repr(operation), repr(f"{self.facts.name}.{name}")),
            (DESCRIPTION, CONCURRENCY, PROGRESS, EXTRA_QUERY, EXTRA_PROPERTIES),
        )

    @property
    def _identified(self) -> tuple[str, str]:
        """The types that ids may be given as, and the sentence about it."""
        returned = [
            each.model for each in self.facts.operations if each.name in ("get", "list") and each.model
        ]
        if not returned:
            return _several("int | str"), f"Ids of the {self.plural}."
        return _several(f"int | str | {returned[0]}"), f"Ids of the {self.plural}, or the objects themselves."


def _loading(operation: OperationFacts) -> tuple[Option, ...]:
    """The options that say what a write returns, as in its method for one object."""
    return tuple(
        Option(
            argument.keyword,
            f"{one_or_many(argument.annotation)} | None",
            "None",
            argument.description,
        )
        for argument in operation.query
        if argument.name in ("include", "optional_fields")
    )


def _creates_many(operation: OperationFacts) -> bool:
    """In bulk, or at least so that each is created once."""
    return operation.bulk_limit is not None or operation.external_reference


def updates_by_id(resources: Iterable[ResourceFacts]) -> frozenset[str]:
    """The inputs of updates that `update_many` also takes with an id in them."""
    return frozenset(
        operation.body.input_class
        for resource in resources
        for operation in resource.operations
        if operation.body and operation.name == "update" and _updates_singly(operation)
    )


def _updates_singly(operation: OperationFacts) -> bool:
    body = operation.body
    return (
        operation.method == "PUT"
        and operation.result in ("one", "object")
        and len(operation.path_arguments) == 1
        and operation.model is not None
        and body is not None
        and not body.multipart
    )


class ModelView(_View):
    facts: ModelFacts

    @property
    def nested(self) -> list[ModelView]:
        return [ModelView(each) for each in self.facts.nested]

    @property
    def classes(self) -> list[str]:
        return [self.facts.name, *(each.name for each in self.facts.nested)]

    @property
    def documentation(self) -> str:
        """What it is; `kantata_client._objects.introspection` adds the fields with their types for `help`."""
        return sentence(self.facts.description) or sentence(names.snake(self.facts.name).replace("_", " "))

    @property
    def associations(self) -> list[AssociationView]:
        return [AssociationView(each) for each in sorted(self.facts.associations, key=lambda each: each.name)]

    @property
    def targets(self) -> list[str]:
        """Models of associations, imported for the type checker alone."""
        every = {each.model for each in self.facts.associations if each.model}
        return sorted(every - {*self.classes, *self.shared})

    @property
    def shared(self) -> list[str]:
        """Classes of fields that live in modules of their own."""
        fields: list[FieldFacts] = [
            each for model in (self.facts, *self.facts.nested) for each in model.fields
        ]
        return sorted({name for each in fields for name in each.models} - set(self.classes))


class AssociationView(_View):
    facts: AssociationFacts

    @property
    def documentation(self) -> str:
        words, which = self.facts.name.replace("_", " "), "ids are" if self.facts.many else "id is"
        text = f"The {words} whose {which} in `{self.facts.ids}`, if `include` names `{self.facts.name}`."
        return f"{text} {sentence(self.facts.note)}".strip()

    @property
    def annotation(self) -> str:
        """The type that reading it gives, as the docstring of its class says it."""
        model = self.facts.model or "Model"
        return f"list[{model}]" if self.facts.many else f"{model} | None"


class InputView(_View):
    facts: InputFacts

    @property
    def purpose(self) -> str:
        return names.snake(self.facts.name).replace("_", " ")
