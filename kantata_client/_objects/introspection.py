"""What other libraries read from a model class: attrs fields, a pydantic schema, documentation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast, get_type_hints

from kantata_client._objects.fields import received_form
from kantata_client._objects.model import Model, annotation_of, wrap

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema


def attrs_fields(cls: type[Model]) -> tuple[Any, ...]:
    """The fields as `attrs.fields` returns them: keyword-only, with their annotations as strings.

    Each name is a new string object, by which `Model.__getattr__` recognizes that attrs reads a field.
    """
    import attrs

    made = attrs.fields(_attrs_class(cls))
    return type(made)(each.evolve(name="".join((each.name[:1], each.name[1:]))) for each in made)


def attrs_properties(cls: type[Model]) -> Any:
    """What `attrs.inspect` returns for the class (attrs 25.4 and newer)."""
    import attrs

    return attrs.inspect(_attrs_class(cls))


def _attrs_class(cls: type[Model]) -> type:
    """A class made by attrs with the same properties: mutable, keyword-only, without generated comparison or hash."""
    import attrs

    fields: dict[str, Any] = {
        name: attrs.field(default=None, kw_only=True, type=cast("type", annotation_of(cls, name)))
        for name in cls.FIELDS
    }
    return attrs.make_class(cls.__name__, fields, kw_only=True, eq=False, order=False, repr=False)


def documentation(cls: type[Model], text: str) -> str:
    """The docstring of a class, followed by its fields and associations with their types."""
    fields = [f"    {name}: {annotation_of(cls, name)}" for name in cls.FIELDS]
    associations = [
        f"    {name}: {annotation_of(cls, name).removeprefix('ClassVar[').removesuffix(']')}"
        for name in cls.ASSOCIATIONS
    ]
    parts = [text.rstrip()]
    if fields:
        parts.append("\n".join(["Fields:", *fields]))
    if associations:
        parts.append("\n".join(["Associations:", *associations]))
    return "\n\n".join(parts)


def pydantic_schema(cls: type[Model], handler: GetCoreSchemaHandler) -> CoreSchema:
    """A pydantic schema that accepts an object of the class, or a mapping whose known fields have their declared types.

    Unknown fields are kept. Serialization returns the object as it was received.
    """
    from pydantic_core import core_schema

    hints = get_type_hints(cls)
    mapping = core_schema.typed_dict_schema(
        {
            name: core_schema.typed_dict_field(handler.generate_schema(hints[name]), required=False)
            for name in cls.FIELDS
        },
        extra_behavior="allow",
        config=core_schema.CoreConfig(title=cls.__name__),
    )

    def made(fields: dict[str, Any]) -> Model:
        return wrap(cls, received_form(fields), None)

    made_of_mapping = core_schema.no_info_after_validator_function(made, mapping)
    in_json: Callable[[Any, Any], Any] = lambda _, of: of(mapping)  # noqa: E731 - named by pydantic's key
    return core_schema.json_or_python_schema(
        json_schema=made_of_mapping,
        python_schema=core_schema.union_schema([core_schema.is_instance_schema(cls), made_of_mapping]),
        serialization=core_schema.plain_serializer_function_ser_schema(cls.to_dict),
        metadata={"pydantic_js_functions": [in_json]},
        ref=f"{cls.__module__}.{cls.__name__}:{id(cls)}",
    )
