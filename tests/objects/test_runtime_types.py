"""Annotations of every model, input and method resolve at run time, and libraries that read them take our classes."""

from __future__ import annotations

import inspect
import pydoc
import subprocess
import sys
import typing
from datetime import UTC, date, datetime
from importlib import import_module
from types import FunctionType
from typing import Any, get_args, get_origin, get_type_hints

import attrs
import cattrs
import cattrs.preconf.json
import httpx
import pytest
from fastapi import FastAPI
from pydantic import TypeAdapter, ValidationError

import kantata_client
from kantata_client import Kantata, models
from kantata_client._objects.associations import Association, Many, One, Polymorphic
from kantata_client.models import Story, TimeEntry, inputs
from kantata_client.operations import OPERATIONS
from tests.test_client import modules_after

if typing.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kantata_client import Model

MODELS: dict[str, type[Model]] = {name: getattr(models, name) for name in models.MODULES}
INPUTS: dict[str, Any] = {
    name: value
    for name, value in vars(inputs).items()
    if isinstance(value, type) and value.__module__ == inputs.__name__
}
WITH_FILES = {"CreateAttachment", "ImportCsvProjectAccountingRecord", "UpdateProfilePhotoUser"}
"""Inputs that hold a `File`, whose content may be a stream; `docs/types.md` says why pydantic refuses them."""


def methods(cls: type) -> Iterator[tuple[str, Callable[..., Any]]]:
    for name, value in inspect.getmembers(
        cls, lambda each: inspect.isfunction(each) or inspect.ismethod(each)
    ):
        if not name.startswith("_") or name == "__init__":
            yield f"{cls.__name__}.{name}", value


def resource_classes() -> list[type]:
    kantata = Kantata("secret")
    return [type(getattr(kantata, name)) for name in Kantata.CLASSES]


# --- typing ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_model_hints_resolve(name: str) -> None:
    cls = MODELS[name]
    hints = get_type_hints(cls)
    assert {*cls.FIELDS, *cls.ASSOCIATIONS} <= hints.keys()
    for field in cls.FIELDS:
        assert _is_resolved(hints[field]), f"{name}.{field}"
    for association in cls.ASSOCIATIONS.values():
        (inner,) = get_args(hints[association.name])
        _check_association(association, inner)


def _check_association(association: Association, hint: Any) -> None:
    if association.key is None:
        assert hint is Polymorphic
        return
    assert get_origin(hint) is (Many if association.many else One)
    (target,) = get_args(hint)
    assert target is MODELS[target.__name__]


def _is_resolved(hint: Any) -> bool:
    if isinstance(hint, str | typing.ForwardRef):
        return False
    return all(_is_resolved(each) for each in get_args(hint) if get_origin(hint) is not typing.Literal)


def test_there_are_inputs() -> None:
    bodies = [each for each in OPERATIONS.values() if each.body and each.body.fields]
    assert len(INPUTS) > 100
    assert len(INPUTS) > len(bodies) / 2


@pytest.mark.parametrize("name", INPUTS)
def test_input_hints_resolve(name: str) -> None:
    hints = get_type_hints(INPUTS[name])
    assert hints
    assert all(_is_resolved(each) for each in hints.values())


def test_input_has_required_keys() -> None:
    assert INPUTS["CreateTimeEntry"].__required_keys__ == {
        "workspace_id",
        "date_performed",
        "time_in_minutes",
    }
    assert "notes" in INPUTS["CreateTimeEntry"].__optional_keys__
    for operation in OPERATIONS.values():
        if operation.body and (known := INPUTS.get(_input_of(operation.resource, operation.name))):
            required = [name for name, each in operation.body.fields.items() if each.required]
            assert len(required) == len(known.__required_keys__), operation.id


def _input_of(resource: str, name: str) -> str:
    words = resource.removesuffix("ies") + "y" if resource.endswith("ies") else resource.removesuffix("s")
    return f"{name}_{words}".title().replace("_", "")


@pytest.mark.parametrize("cls", [*resource_classes(), Kantata], ids=lambda cls: cls.__name__)
def test_hints_of_every_public_method_resolve(cls: type) -> None:
    found = list(methods(cls))
    assert found
    for name, method in found:
        hints = get_type_hints(method)
        parameters = inspect.signature(method).parameters.keys() - {"self"}
        assert parameters <= hints.keys(), name
        assert all(_is_resolved(each) for each in hints.values()), name


def test_hints_of_paginators_and_walks_resolve() -> None:
    for name in ("Paginator", "Page", "Model", "Drift"):
        for method_name, method in methods(getattr(kantata_client, name)):
            assert all(_is_resolved(each) for each in get_type_hints(method).values()), method_name
    hints = get_type_hints(Kantata("secret").stories.list)
    assert get_args(hints["return"]) == (Story,)


def public_names() -> list[str]:
    """The names of the public modules that `docs/types.md` promises type hints for."""
    found = [f"kantata_client.{name}" for name in kantata_client.__all__]
    for module in ("errors", "events", "hooks", "oauth", "pytest_plugin", "sandbox", "stores", "sync"):
        namespace = import_module(f"kantata_client.{module}")
        names = getattr(namespace, "__all__", None) or [name for name in dir(namespace) if name[0] != "_"]
        found += [
            f"{namespace.__name__}.{name}"
            for name in names
            if getattr(getattr(namespace, name), "__module__", "").startswith("kantata_client")
        ]
    return found


@pytest.mark.parametrize("name", public_names())
def test_hints_of_every_public_name_resolve(name: str) -> None:
    """In a module of its own each, these are what FastAPI's dependencies, pydantic and containers read."""
    module, _, last = name.rpartition(".")
    value = getattr(import_module(module), last)
    checked = [value] if inspect.isclass(value) or inspect.isfunction(value) else []
    for cls in inspect.getmro(value) if inspect.isclass(value) else ():
        if cls.__module__.startswith("kantata_client"):
            checked += [
                each.fget if isinstance(each, property) else getattr(each, "__func__", each)
                for each in vars(cls).values()
                if isinstance(each, (FunctionType, classmethod, staticmethod, property))
            ]
    for each in checked:
        hints = get_type_hints(each)
        assert all(_is_resolved(hint) for hint in hints.values()), each


def test_annotations_are_readable_before_they_are_resolved() -> None:
    """Whichever way annotations are read first, they come as they are, and their names resolve."""
    for read in (
        "inspect.signature(TimeEntries.list)",
        "dict(TimeEntries.list.__annotations__)",
        "TimeEntries.list.__annotations__['include']",
        "inspect.get_annotations(TimeEntries.list, eval_str=True)",
        "inspect.signature(TimeEntries.list, eval_str=True)",
        "list(TimeEntry.__annotations__)",
        "TimeEntry.__annotations__.get('id')",
        "inspect.get_annotations(TimeEntry, eval_str=True)",
    ):
        modules_after(
            "import inspect, typing; from kantata_client.api.time_entries import TimeEntries; "
            f"from kantata_client.models import TimeEntry; {read}; "
            "typing.get_type_hints(TimeEntries.list); typing.get_type_hints(TimeEntry)"
        )


def test_using_a_resource_resolves_no_hints() -> None:
    loaded = modules_after(
        "from kantata_client import Kantata; Kantata(token='x').time_entries; "
        "from kantata_client.models import TimeEntry; TimeEntry(id='7').to_dict()"
    )
    assert "kantata_client.models.timesheet_submission" not in loaded
    assert "kantata_client.models.inputs" not in loaded
    assert not loaded & {"typing_extensions", "pydantic"}


def test_help_shows_fields_and_associations_with_their_types() -> None:
    shown = pydoc.plain(pydoc.render_doc(TimeEntry))
    assert "time_in_minutes: int | None" in shown
    assert "date_performed: date | None" in shown
    assert "workspace: One[Workspace]" in shown
    assert "external_references: Many[ExternalReference]" in shown


# --- attrs and cattrs --------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_attrs_resolves_the_types_of_a_model(name: str) -> None:
    cls = attrs.resolve_types(MODELS[name])
    assert all(_is_resolved(each.type) for each in attrs.fields(cls))


def test_sandbox_and_sync_work_with_resolved_annotations() -> None:
    """`attrs.resolve_types` writes classes into `attrs.fields`, where there was text."""
    program = (
        "import attrs\n"
        "from kantata_client.models import ExchangeRate, TimeEntry\n"
        "for cls in (ExchangeRate, TimeEntry): attrs.resolve_types(cls)\n"
        "from kantata_client.sandbox import schema\n"
        "from kantata_client.sync.catalog import lists\n"
        "rates = schema.model('exchange_rates')\n"
        "print(rates.numbered, rates.kinds['effective_date'], lists()['time_entries'].columns['date_performed'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.split() == ["True", "date", "date"]


@pytest.mark.skipif(not hasattr(attrs, "inspect"), reason="attrs 25.4 and newer have it")
@pytest.mark.parametrize("name", MODELS)
def test_attrs_inspects_a_model(name: str) -> None:
    properties = attrs.inspect(MODELS[name])
    assert "is_frozen=False" in repr(properties)
    assert not properties.is_frozen
    assert properties.kw_only is not attrs.ClassProps.KeywordOnly.NO
    assert not properties.is_exception


def test_cattrs_structures_and_unstructures_a_model() -> None:
    converter = cattrs.preconf.json.make_converter()
    given = {
        "id": "7",
        "title": "Kick-off",
        "due_date": "2026-03-04",
        "created_at": "2026-03-04T05:06:07+00:00",
    }
    story = converter.structure(given, Story)
    assert type(story) is Story
    assert story.due_date == date(2026, 3, 4)
    assert {name: value for name, value in converter.unstructure(story).items() if value is not None} == given


# --- pydantic and FastAPI ----------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
def test_pydantic_validates_and_documents_a_model(name: str) -> None:
    cls = MODELS[name]
    adapter = TypeAdapter(cls)
    documented = adapter.json_schema()
    while "$ref" in documented:
        documented = documented["$defs"][documented["$ref"].rpartition("/")[2]]
    assert documented.get("properties", {}).keys() == set(cls.FIELDS)
    nothing = dict.fromkeys(field for field in cls.FIELDS if field != "id")
    assert type(adapter.validate_python(nothing)) is cls


def test_pydantic_accepts_mappings_json_and_objects() -> None:
    adapter = TypeAdapter(TimeEntry)
    entry = adapter.validate_python(
        {"id": "7", "time_in_minutes": "90", "created_at": datetime(2026, 3, 4, tzinfo=UTC)}
    )
    assert entry.time_in_minutes == 90
    assert entry.created_at == datetime(2026, 3, 4, tzinfo=UTC)
    assert adapter.validate_python(entry) is entry
    again = adapter.validate_json(adapter.dump_json(entry))
    assert again == entry
    assert adapter.dump_python(entry) == entry.to_dict()
    kept = adapter.validate_python({"id": "7", "newer": 1})
    assert kept.extra == {"newer": 1}
    for wrong in ({"time_in_minutes": "soon"}, {"date_performed": "2026-99-99"}, {"id": 7}, [1], None):
        with pytest.raises(ValidationError):
            adapter.validate_python(wrong)


def test_pydantic_validates_nested_objects() -> None:
    adapter = TypeAdapter(models.Workspace)
    workspace = adapter.validate_python({"id": "1", "external_link": {"url": "https://example.com"}})
    link = workspace.external_link
    assert link is not None
    assert link.url == "https://example.com"
    with pytest.raises(ValidationError):
        adapter.validate_python({"id": "1", "external_link": {"url": 7}})


@pytest.mark.parametrize("name", sorted(INPUTS.keys() - WITH_FILES))
def test_pydantic_validates_and_documents_an_input(name: str) -> None:
    assert TypeAdapter(INPUTS[name]).json_schema()["type"] == "object"


def test_pydantic_refuses_inputs_with_files() -> None:
    for name in WITH_FILES:
        with pytest.raises(Exception, match="Unable to generate pydantic-core schema"):
            TypeAdapter(INPUTS[name])


@pytest.mark.asyncio
async def test_fastapi_app_returns_models_and_accepts_inputs() -> None:
    app = FastAPI()

    async def create(body: inputs.CreateTimeEntry) -> TimeEntry:
        return TimeEntry(
            id="7", date_performed=body["date_performed"], time_in_minutes=body["time_in_minutes"]
        )

    async def every() -> list[TimeEntry]:
        return [TimeEntry(id="7", notes="first"), TimeEntry(id="8")]

    for function in (create, every):
        function.__annotations__ = get_type_hints(function, globals(), {"inputs": inputs})
    app.post("/entries")(create)
    app.get("/entries")(every)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://app.test") as browser:
        body = {"workspace_id": 10, "date_performed": "2026-03-04", "time_in_minutes": 90}
        created = await browser.post("/entries", json=body)
        assert created.json() == {"id": "7", "date_performed": "2026-03-04", "time_in_minutes": 90}
        refused = await browser.post("/entries", json={"workspace_id": 10})
        assert refused.status_code == 422
        assert (await browser.get("/entries")).json() == [{"id": "7", "notes": "first"}, {"id": "8"}]
        described = (await browser.get("/openapi.json")).json()["components"]["schemas"]
    assert described["TimeEntry"]["properties"].keys() == set(TimeEntry.FIELDS)
    assert set(described["CreateTimeEntry"]["required"]) == set(body)
