"""Views: facts with what the templates ask of them besides."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import attrs

from codegen import names
from codegen.text import sentence

if TYPE_CHECKING:
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
    """A fact with what templates ask of it besides."""

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
            parts.append(sentence(" ".join(self.facts.description.split())))
        if self.facts.own_rate_limit:
            parts.append("It has a rate limit of its own.")
        return "\n\n".join(parts)

    @property
    def returning(self) -> str | None:
        model, result = self.facts.model, self.facts.result
        if result in ("page", "array"):
            return (
                f"A walk over `{model}` objects: `async for`, `pages`, `first`, `one`, `count`, `collect`. "
                "Nothing is sent before."
                + (f" Its `stable()` walk goes by `{self.facts.stable_by}`." if self.facts.stable_by else "")
            )
        if result == "many":
            return f"The `{model}` objects that the service answers with, in its order."
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


CONCURRENCY = Option("concurrency", "int", "4", "Most requests under way at once.")
PROGRESS = Option(
    "progress",
    "Progress | None",
    "None",
    "Called with the number of items that have an outcome, and of all (`None` for an async input).",
)
KEY = Option(
    "key",
    "ExternalReferenceKey | None",
    "None",
    "Where each item's external reference is: what has it already is found instead of created again, also in a rerun.",
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
    """The call that it is: what stands before the items, and what after them besides the options."""
    options: tuple[Option, ...] = ()
    extra: str = ""


def _several(item: str) -> str:
    return f"Iterable[{item}] | AsyncIterable[{item}]"


class ResourceView(_View):
    facts: ResourceFacts

    @cached_property
    def operations(self) -> list[OperationView]:
        return [OperationView(each) for each in self.facts.operations]

    @property
    def title(self) -> str:
        return self.facts.operations[0].tags[0] if self.facts.operations[0].tags else self.facts.name

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
        several = f"{operation.bulk_limit} in one request" if operation.bulk_limit else "one request each"
        text = f"Create many, {several}."
        if operation.upsert:
            text += " What is there already is changed, so writing one twice does no harm."
        return Bulk(
            "create_many",
            operation.id,
            "items",
            _several(f"{operation.body.input_class} | {model} | Mapping[str, object]"),
            model,
            text,
            f"What to create, each with the arguments of `create`: dictionaries, or `{model}` objects.",
            (operation.constant, model),
            (KEY, CONCURRENCY, PROGRESS) if operation.external_reference else (CONCURRENCY, PROGRESS),
        )

    def _update(self, by_name: dict[str, OperationFacts]) -> Bulk | None:
        operation, creation = by_name.get("update"), by_name.get("create")
        if operation is None or operation.body is None or not _updates_singly(operation):
            return None
        model, changes = str(operation.model), operation.body.input_class
        text = "Update many, one request each."
        upsert = creation is not None and creation.upsert and creation.bulk_limit and creation.body
        if creation and upsert and creation.body:
            needed = [argument.keyword for argument in creation.body.arguments if argument.required]
            text = (
                f"Update many: items that have {', '.join(f'`{each}`' for each in needed)} {creation.bulk_limit} in one "
                f"request, by `{creation.id}` (their objects may get another id); others one request each."
            )
        return Bulk(
            "update_many",
            f"{operation.id}, {creation.id}" if creation and upsert else operation.id,
            "items",
            _several(f"tuple[int | str, {changes} | Mapping[str, object]] | {model} | Mapping[str, object]"),
            model,
            text,
            "What to change, each with the arguments of `update`: pairs of an id and a dictionary, dictionaries with an "
            f"`id` in them, or `{model}` objects, changed by `replace`.",
            (operation.constant, model),
            (CONCURRENCY, PROGRESS),
            f"upsert={creation.constant}" if creation and upsert else "",
        )

    def _deletion(self, several: OperationFacts | None, single: OperationFacts | None) -> Bulk | None:
        operation = several or single
        if operation is None or len(operation.path_arguments) > 1:
            return None
        by_ids = not operation.path_arguments
        if by_ids and "ids" not in {argument.name for argument in operation.query}:
            return None
        kinds, told = self._identified
        return Bulk(
            "delete_many",
            operation.id,
            "ids",
            kinds,
            "None",
            f"Delete many, {operation.bulk_limit} in one request; if one of these is refused, all are, so that the rest is "
            "sent again without it."
            if by_ids
            else "Delete many, one request each.",
            told,
            (operation.constant,),
            (CONCURRENCY, PROGRESS),
        )

    def _decision(self, name: str, operation: str, most: int) -> Bulk:
        verb = name.removesuffix("_many")
        kinds, told = self._identified
        return Bulk(
            name,
            operation,
            "ids",
            kinds,
            "Resolution",
            f"{verb.capitalize()} many, {most} in one request; the results are the resolutions.",
            told,
            (repr(operation), repr(f"{self.facts.name}.{name}")),
            (DESCRIPTION, CONCURRENCY, PROGRESS),
        )

    @property
    def _identified(self) -> tuple[str, str]:
        """What ids may be given as, and what is said of it."""
        one = names.singular(self.facts.name).replace("_", " ")
        returned = [
            each.model for each in self.facts.operations if each.name in ("get", "list") and each.model
        ]
        if not returned:
            return _several("int | str"), f"Ids of the {one} objects."
        return _several(f"int | str | {returned[0]}"), f"Ids of the {one} objects, or these themselves."


def _creates_many(operation: OperationFacts) -> bool:
    """In bulk, or at least so that each is created once."""
    return operation.bulk_limit is not None or operation.external_reference


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
        return sentence(self.facts.description) or sentence(names.snake(self.facts.name).replace("_", " "))

    @property
    def associations(self) -> list[AssociationView]:
        return [AssociationView(each) for each in sorted(self.facts.associations, key=lambda each: each.name)]

    @property
    def targets(self) -> list[str]:
        """Models of associations, imported for the type checker alone."""
        every = {each.model for each in self.facts.associations if each.model}
        return sorted(every - set(self.classes))

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
        what = "Objects" if self.facts.many else "Object"
        by = f"{what} that `{self.facts.ids}` names."
        return sentence(f"{by} {sentence(self.facts.note)}")


class InputView(_View):
    facts: InputFacts

    @property
    def purpose(self) -> str:
        return names.snake(self.facts.name).replace("_", " ")
