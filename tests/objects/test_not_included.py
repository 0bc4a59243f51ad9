"""Absent is not null: fields that the service sends on request only, and associations, when nobody asked for them."""

from __future__ import annotations

import copy
import json
import pickle
import re
import traceback
from typing import TYPE_CHECKING, Any

import attrs
import httpx
import pytest

from kantata_client import Kantata, KantataError, NotIncludedError, models
from kantata_client.operations import OPERATIONS
from tests.contract.contract import class_name, contract, operations

if TYPE_CHECKING:
    from kantata_client import Model


def fields_of_the_contract() -> list[tuple[str, str, str, str]]:
    """(class, field, parameter, what it has to name) of each field that the contract sends on request only."""
    found: dict[tuple[str, str], tuple[str, str]] = {}
    for definition, schema in contract()["definitions"].items():
        for field, value in schema.get("properties", {}).items():
            prose = value.get("description") or ""
            if named := re.search(r"Present only when `include` names `(\w+)`", prose):
                found[class_name(definition), field] = ("include", named[1])
            elif "only when named in `optional_fields`" in prose:
                found[class_name(definition), field] = ("optional_fields", field)
    for operation in operations().values():
        model = OPERATIONS[operation.id].model
        listed = operation.query.get("optional_fields", {}).get("items", {}).get("enum", ())
        for field in listed:
            if model is not None and field in getattr(models, model).FIELDS:
                found.setdefault((model, field), ("optional_fields", field))
    return [(*place, *request) for place, request in sorted(found.items())]


FIELDS = fields_of_the_contract()


def test_contract_has_hundreds_of_conditional_fields() -> None:
    assert sum(parameter == "include" for *_, parameter, _ in FIELDS) >= 357
    assert sum(parameter == "optional_fields" for *_, parameter, _ in FIELDS) >= 60


@pytest.mark.parametrize(("name", "field", "parameter", "asked"), FIELDS)
@pytest.mark.asyncio
async def test_every_field_not_requested_says_what_to_add(
    name: str, field: str, parameter: str, asked: str
) -> None:
    cls: type[Model] = getattr(models, name)
    condition = cls.CONDITIONS[field]
    assert (condition.parameter, condition.name) == (parameter, asked)
    for operation in OPERATIONS.values():
        if operation.model != name or operation.result != "page" or operation.path_parameters:
            continue
        taken = operation.query.get(parameter)
        if taken is None or asked not in taken.values:
            continue
        key = str(operation.key)
        content = {"count": 1, "results": [{"key": key, "id": "7"}], key: {"7": {"id": "7"}}}
        async with client(content) as kantata:
            resource: Any = getattr(kantata, operation.resource)
            required = {
                each: known.values[0] if known.values else "1"
                for each, known in operation.query.items()
                if known.required
            }
            walk = resource._page(operation, cls, query=required)
            model = await walk.first()
            with pytest.raises(NotIncludedError, match=re.escape(f'add {parameter}=["{asked}"] to the call')):
                getattr(model, field)
            walk = resource._page(operation, cls, query={**required, parameter: [asked]})
            model = await walk.first()
            assert getattr(model, field) is None
            assert [row.field for row in kantata.drift] == [field]


def test_every_condition_is_in_the_contract() -> None:
    listed = {(name, field) for name, field, *_ in FIELDS}
    added = {
        (name, field)
        for name in models.MODULES
        for field in getattr(models, name).CONDITIONS
        if (name, field) not in listed
    }
    known = contract()["definitions"]
    for name, field in added:  # fields that only the prose of `include` names
        definition = next((each for each in known if class_name(each) == name), None)
        assert definition is None or field not in known[definition].get("properties", {}), (name, field)


# --- one of them, closely ----------------------------------------------------------------------


def client(content: Any) -> Kantata:
    return Kantata("secret", transport=httpx.MockTransport(lambda _: httpx.Response(200, json=content)))


def envelope(*entries: dict[str, Any], **sideloads: Any) -> dict[str, Any]:
    return {
        "count": len(entries),
        "results": [{"key": "time_entries", "id": each["id"]} for each in entries],
        "time_entries": {each["id"]: each for each in entries},
        **sideloads,
    }


ENTRY = {"id": "7", "notes": "first"}


async def entry(content: Any = None, **query: Any) -> models.TimeEntry:
    async with client(envelope(dict(ENTRY)) if content is None else content) as kantata:
        found = await kantata.time_entries.list(**query).first()
    assert found is not None
    return found


@pytest.mark.anyio
async def test_error_names_the_parameter_and_the_call() -> None:
    found = await entry()
    with pytest.raises(NotIncludedError) as caught:
        found.workspace_id  # noqa: B018
    assert str(caught.value) == (
        "TimeEntry.workspace_id was not asked for, so it is not in the response: "
        'add include=["workspace"] to the call that returned this TimeEntry.'
    )
    assert (caught.value.model, caught.value.association) == ("TimeEntry", "workspace_id")
    assert isinstance(caught.value, KantataError)
    assert isinstance(caught.value, AttributeError)
    assert "Did you mean" not in "".join(traceback.format_exception(caught.value))
    with pytest.raises(NotIncludedError, match=r'optional_fields=\["location_id"\]'):
        found.location_id  # noqa: B018


@pytest.mark.anyio
async def test_field_not_requested_counts_as_missing() -> None:
    found = await entry()
    assert not hasattr(found, "workspace_id")
    assert not hasattr(found, "workspace")
    assert getattr(found, "workspace_id", "nothing") == "nothing"
    assert hasattr(found, "notes")
    assert hasattr(found, "billable"), "always sent, so it is null when it is missing"


@pytest.mark.anyio
async def test_received_field_is_readable_even_if_not_requested() -> None:
    for value in ("10", None):
        found = await entry(envelope({**ENTRY, "workspace_id": value}))
        assert found.workspace_id == value


@pytest.mark.anyio
async def test_requested_but_absent_field_reads_as_none() -> None:
    found = await entry(include=["workspace"], optional_fields=["location_id"])
    assert found.workspace_id is None
    assert found.workspace is None
    assert found.location_id is None
    with pytest.raises(NotIncludedError):
        found.user_id  # noqa: B018


@pytest.mark.anyio
async def test_each_requested_but_absent_field_is_one_row_of_drift() -> None:
    """Also when only some objects lack it."""
    full = {"workspace_id": "10", "location_id": 3}
    content = envelope({"id": "1", **full}, {"id": "2", **full}, {"id": "3"}, workspaces={"10": {"id": "10"}})
    async with client(content) as kantata:
        walk = kantata.time_entries.list(include=["workspace"], optional_fields=["location_id"])
        await walk.collect()
        await walk.collect()
        assert {(row.model, row.field, row.received) for row in kantata.drift} == {
            ("TimeEntry", "workspace_id", "absent"),
            ("TimeEntry", "location_id", "absent"),
        }


@pytest.mark.anyio
async def test_request_does_not_apply_to_sideloads() -> None:
    content = envelope({**ENTRY, "workspace_id": "10"}, workspaces={"10": {"id": "10", "title": "Intranet"}})
    found = await entry(content, include=["workspace"])
    assert found.workspace is not None
    assert found.workspace.title == "Intranet"
    with pytest.raises(
        NotIncludedError, match=re.escape("kantata.workspaces.get('10', include=[\"primary_maven\"])")
    ):
        found.workspace.primary_maven_id  # noqa: B018


@pytest.mark.anyio
async def test_advice_names_another_call_if_needed() -> None:
    content = {"count": 1, "results": [{"key": "stories", "id": "7"}], "stories": {"7": {"id": "7"}}}
    async with client(content) as kantata:
        story = await kantata.stories._one(OPERATIONS["PUT /stories/{id}"], models.Story, path=(7,))
    for field, condition in models.Story.CONDITIONS.items():
        with pytest.raises(NotIncludedError) as caught:
            getattr(story, field)
        assert repr(condition) in str(caught.value) or "no call" in str(caught.value)


def test_object_made_by_hand_counts_as_complete() -> None:
    made = models.TimeEntry(id="7")
    assert made.workspace_id is None
    assert made.location_id is None
    made.workspace_id = "10"
    assert made.workspace_id == "10"
    assert models.TimeEntry(workspace_id="11").workspace_id == "11"


@pytest.mark.anyio
@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda each: pickle.loads(pickle.dumps(each))])
async def test_copies_know_what_was_not_requested(again: Any) -> None:
    found = again(await entry(include=["user"]))
    assert found.user_id is None
    with pytest.raises(NotIncludedError):
        found.workspace_id  # noqa: B018


@pytest.mark.anyio
async def test_operations_on_whole_objects_ignore_absent_fields() -> None:
    found, same = await entry(), await entry()
    assert found.to_dict() == ENTRY
    assert json.loads(json.dumps(found.to_dict())) == ENTRY
    assert found == same
    assert hash(found) == hash(same)
    assert repr(found) == "TimeEntry(id='7', +1 field)"
    assert found.extra == {}
    as_dict = attrs.asdict(found)
    assert as_dict.keys() == set(models.TimeEntry.FIELDS)
    assert {name: value for name, value in as_dict.items() if value is not None} == ENTRY
    assert {type(name) for name in as_dict} == {str}
    assert attrs.astuple(found)[0] == "7"
    assert attrs.evolve(found, notes="second").to_dict() == {**ENTRY, "notes": "second"}
    changed = found.replace(notes="second")
    with pytest.raises(NotIncludedError):
        changed.workspace_id  # noqa: B018
    changed.workspace_id = "10"
    assert changed.workspace_id == "10"
    with pytest.raises(NotIncludedError):  # what attrs may read, other code may not
        found.workspace_id  # noqa: B018
    with pytest.raises(AttributeError, match="did you mean 'notes'"):
        found.note  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.anyio
async def test_pydantic_treats_field_not_requested_as_missing() -> None:
    from pydantic import BaseModel, ConfigDict

    class Row(BaseModel):
        model_config = ConfigDict(from_attributes=True)
        id: str
        workspace_id: str = "missing"

    assert Row.model_validate(await entry()).workspace_id == "missing"


def test_converted_field_not_requested_raises() -> None:
    """A date or an object inside the object that is sent on request only."""
    found = [
        (getattr(models, name), field)
        for name in models.MODULES
        for field in getattr(models, name).CONDITIONS
        if field in vars(getattr(models, name))
    ]
    assert found
    for cls, field in found:
        made = cls()
        assert getattr(made, field) is None
        made.__envelope__ = Nothing()
        with pytest.raises(NotIncludedError):
            getattr(made, field)
        made.__dict__[field] = None
        assert getattr(made, field) is None


class Nothing:
    """An envelope whose request asked for nothing."""

    def requested(self, *_: object, **__: object) -> bool:
        return False

    def advice(self, *_: object) -> str:
        return "ask for it"
