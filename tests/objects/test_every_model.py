"""Every model accepts null in every field and unknown fields, and works with attrs, copy and pickle."""

from __future__ import annotations

import copy
import json
import pickle
from datetime import UTC, date, datetime
from typing import Any

import attrs
import httpx
import pytest

from kantata_client import Kantata, Model, NotIncludedError, Operation, models
from tests.contract.contract import class_name, contract

CLASSES: dict[str, type[Model]] = {name: getattr(models, name) for name in models.MODULES}
UNKNOWN = {"nobody_knows_this": [1, {"a": None}], "Not an identifier!": "x", "class": 1}


def operation_for(cls: type[Model]) -> Operation:
    """A list of objects of any class."""
    return Operation(
        "GET",
        "/things",
        "things",
        "list",
        summary="Things",
        tags=(),
        result="page",
        model=cls.__name__,
        key="things",
        keys={"things": cls.__name__},
    )


async def received(cls: type[Model], *objects: dict[str, Any]) -> list[Any]:
    """The objects that a client decodes when the service sends these."""
    things = {str(place): each for place, each in enumerate(objects, 1)}
    results = [{"key": "things", "id": each} for each in things]

    async def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"count": len(things), "results": results, "things": things})

    async with Kantata("secret", transport=httpx.MockTransport(answer)) as kantata:
        return await kantata.stories._page(operation_for(cls), cls).collect()


@pytest.mark.parametrize("definition", contract()["definitions"])
def test_every_definition_has_a_class_with_its_fields(definition: str) -> None:
    cls = CLASSES[class_name(definition)]
    properties = contract()["definitions"][definition].get("properties", {})
    assert set(properties) <= set(cls.FIELDS)
    assert len(cls.FIELDS) == len(set(cls.FIELDS))


def test_every_definition_of_the_contract_has_a_class() -> None:
    assert len(contract()["definitions"]) >= 129
    assert len(CLASSES) >= len(contract()["definitions"])
    assert all(CLASSES[name].__name__ == name for name in CLASSES)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.asyncio
async def test_every_field_may_be_null(name: str) -> None:
    cls = CLASSES[name]
    nothing = dict.fromkeys(cls.FIELDS)
    missing: dict[str, Any] = {}
    empty, absent = await received(cls, nothing, missing)
    assert type(empty) is cls
    for field in cls.FIELDS:
        assert getattr(empty, field) is None
        if field in cls.CONDITIONS:
            with pytest.raises(NotIncludedError):
                getattr(absent, field)
        else:
            assert getattr(absent, field) is None or field == "id"
    assert empty.to_dict() == dict.fromkeys(cls.FIELDS)
    assert absent.to_dict() == {}
    assert empty.extra == absent.extra == {}
    assert empty == absent
    assert repr(empty) == f"{name}()"


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.asyncio
async def test_unknown_fields_are_kept(name: str) -> None:
    (model,) = await received(CLASSES[name], {"id": "7", **UNKNOWN})
    assert model.to_dict() == {"id": "7", **UNKNOWN}
    assert model.extra == ({"id": "7"} if "id" not in CLASSES[name].FIELDS else {}) | UNKNOWN
    assert model.nobody_knows_this == [1, {"a": None}]
    assert json.loads(json.dumps(model.to_dict())) == {"id": "7", **UNKNOWN}


ODD = (
    "text",
    7,
    7.5,
    True,
    [1],
    {"a": 1},
    "",
    [],
    {},
    [None],
    {"a": None},
    "2026-99-99",
    "0000-00-00T00:00:00Z",
)


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.asyncio
async def test_values_of_unexpected_types_are_kept(name: str) -> None:
    cls = CLASSES[name]
    objects = [dict.fromkeys((field for field in cls.FIELDS if field != "id"), value) for value in ODD]
    for model, value in zip(await received(cls, *objects), ODD, strict=True):
        for field in cls.FIELDS:
            getattr(model, field)
        assert all(received == value for received in model.to_dict().values())
        repr(model)


@pytest.mark.parametrize("name", CLASSES)
def test_attrs_fields_are_the_fields(name: str) -> None:
    cls = CLASSES[name]
    assert attrs.has(cls)
    assert tuple(each.name for each in attrs.fields(cls)) == cls.FIELDS
    assert set(attrs.fields_dict(cls)) == set(cls.FIELDS)
    assert attrs.asdict(cls()).keys() == set(cls.FIELDS)
    assert attrs.evolve(cls()) == cls()


# --- one model, closely ------------------------------------------------------------------------


STORY = {
    "id": "7",
    "title": "Kick-off",
    "due_date": "2026-03-04",
    "created_at": "2026-03-04T05:06:07-07:00",
    "workspace_id": "10",
    "assignee_ids": ["4", "5"],
    "weight": None,
}


async def story() -> models.Story:
    (found,) = await received(models.Story, dict(STORY))
    return found


def test_model_can_not_be_subclassed() -> None:
    with pytest.raises(TypeError, match="Own: a model has no subclasses"):
        type("Own", (models.Story,), {})


@pytest.mark.anyio
async def test_dates_are_converted_and_stored_as_received() -> None:
    found = await story()
    assert found.due_date == date(2026, 3, 4)
    assert found.created_at == datetime(2026, 3, 4, 12, 6, 7, tzinfo=UTC)
    assert found.to_dict() == STORY


@pytest.mark.anyio
async def test_evolve_changes_a_copy() -> None:
    found = await story()
    moved = attrs.evolve(found, due_date=date(2026, 4, 1), title=None)
    assert moved.due_date == date(2026, 4, 1)
    assert moved.to_dict()["due_date"] == "2026-04-01"
    assert moved.title is None
    assert (moved.id, moved.assignee_ids) == ("7", ["4", "5"])
    assert found.due_date == date(2026, 3, 4)
    assert moved != found


@pytest.mark.anyio
async def test_asdict_has_the_converted_values() -> None:
    received = attrs.asdict(await story())
    assert received["due_date"] == date(2026, 3, 4)
    assert received["weight"] is received["position"] is None
    assert tuple(received) == models.Story.FIELDS


@pytest.mark.anyio
async def test_equality_and_hash() -> None:
    one, other = await story(), await story()
    assert one == other
    assert one is not other
    assert len({one, other}) == 1
    assert one != attrs.evolve(other, title="Another")
    assert hash(one) == hash(attrs.evolve(other, title="Another"))
    assert models.Workspace(id="7") != models.Story(id="7")
    assert one != STORY
    assert models.Story(id="7", title=None) == models.Story(id="7")


@pytest.mark.anyio
async def test_repr_is_short() -> None:
    assert repr(await story()) == "Story(id='7', title='Kick-off', +4 fields)"
    (long,) = await received(models.Story, dict.fromkeys(models.Story.FIELDS, "x" * 1000))
    assert len(repr(models.Story(id="7", title="x" * 1000))) < 80
    assert len(repr(attrs.evolve(long, id="7"))) < 80


@pytest.mark.anyio
@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])
async def test_copy_and_pickle(again: Any) -> None:
    found = await story()
    other = again(found)
    assert type(other) is models.Story
    assert other == found
    assert other.to_dict() == STORY
    other.title = "Another"
    assert found.title == "Kick-off"


def test_constructor() -> None:
    made = models.Story(id="7", title="Kick-off", due_date=date(2026, 3, 4))
    assert made.to_dict() == {"id": "7", "title": "Kick-off", "due_date": "2026-03-04"}
    assert made.due_date == date(2026, 3, 4)
    with pytest.raises(TypeError, match=r"Story has no field 'titel'; did you mean 'title'\?"):
        models.Story(titel="Kick-off")  # type: ignore[call-arg]


def test_assignment_and_deletion() -> None:
    made = models.Story(id="7")
    made.created_at = datetime(2026, 3, 4, tzinfo=UTC)
    assert made.to_dict()["created_at"] == "2026-03-04T00:00:00+00:00"
    del made.created_at
    assert made.created_at is None
    assert made.to_dict() == {"id": "7"}


@pytest.mark.parametrize("name", CLASSES)
def test_unknown_attribute_can_not_be_assigned(name: str) -> None:
    cls = CLASSES[name]
    made = cls()
    for unknown in ("titel_", "KEY", "FIELDS"):
        with pytest.raises(AttributeError, match=f"{cls.__name__} has no field '{unknown}'"):
            setattr(made, unknown, 1)
    for association in cls.ASSOCIATIONS.keys() - set(cls.FIELDS):
        with pytest.raises(AttributeError, match=f"{cls.__name__}.{association} can't be set; set "):
            setattr(made, association, made)
    assert made.to_dict() == {}
    for field in cls.FIELDS:
        setattr(made, field, None)
    assert list(made.to_dict()) == list(cls.FIELDS)


@pytest.mark.anyio
async def test_misspelt_assignment_has_a_suggestion() -> None:
    found = await story()
    with pytest.raises(AttributeError, match=r"Story has no field 'titel'; did you mean 'title'\?"):
        found.titel = "Hand-over"  # type: ignore[attr-defined]
    with pytest.raises(AttributeError, match=r"Story.replace is a method"):
        found.replace = 1  # type: ignore[method-assign,assignment]
    assert found.to_dict() == STORY
    newer = models.Story()
    newer.to_dict()["newer"] = 1  # as received
    newer.newer = 2  # type: ignore[attr-defined]
    assert newer.extra == {"newer": 2}


def test_nested_objects_are_models() -> None:
    workspace = models.Workspace(id="10")
    workspace.to_dict()["external_link"] = {"url": "https://example.com", "unknown": 1}
    link = workspace.external_link
    assert link is not None
    assert link.url == "https://example.com"
    assert link.extra == {"unknown": 1}
    assert link.to_dict() is workspace.to_dict()["external_link"]
    workspace.external_link = attrs.evolve(link, url="https://example.org")
    assert workspace.to_dict()["external_link"]["url"] == "https://example.org"


def test_unknown_class_raises_with_a_suggestion() -> None:
    with pytest.raises(AttributeError, match=r"has no attribute 'Storry'; did you mean 'Story'\?"):
        models.Storry  # type: ignore[attr-defined]  # noqa: B018
    assert "Story" in dir(models)
