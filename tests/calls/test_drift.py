"""Drift: every field of every model with values of other types than the contract's, and how drift is reported."""

from __future__ import annotations

import logging
from datetime import date, datetime
from typing import TYPE_CHECKING, Any, Literal

import httpx
import pytest

from kantata_client import Kantata, MalformedResponseError, Model, Operation, UsageError, models
from tests.contract.contract import class_name, contract

if TYPE_CHECKING:
    from tests.recorder import Recorder

CLASSES: dict[str, type[Model]] = {name: getattr(models, name) for name in models.MODULES}
OnDrift = Literal["warn", "raise", "ignore"]


def operation_for(cls: type[Model]) -> Operation:
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


def client(*bodies: Any, on_drift: OnDrift = "warn") -> Kantata:
    """A client whose service sends these bodies in turn, and then repeats the last one."""
    left = list(bodies)

    async def answer(request: httpx.Request) -> httpx.Response:
        body = left.pop(0) if len(left) > 1 else left[0]
        return httpx.Response(200, json=body, headers={"x-request-id": "r-42"})

    return Kantata("secret", transport=httpx.MockTransport(answer), on_drift=on_drift)


def enveloped(objects: list[dict[str, Any]], key: str = "things", **more: Any) -> dict[str, Any]:
    things = {str(place): each for place, each in enumerate(objects, 1)}
    results = [{"key": key, "id": each} for each in things]
    return {"count": len(things), "results": results, key: things, **more}


async def walked(kantata: Kantata, cls: type[Model]) -> list[Any]:
    return await kantata.stories._page(operation_for(cls), cls).collect()


# --- every field of every model ----------------------------------------------------------------


def annotation(cls: type[Model], field: str) -> str:
    return vars(cls)["__annotations__"][field].removesuffix(" | None")


def fits(kind: str, value: Any) -> bool:
    """Whether a value fits the annotation; decided without the code under test."""
    match kind:
        case "object":
            return True
        case "str":
            return isinstance(value, str)
        case "bool":
            return isinstance(value, bool)
        case "int":
            return type(value) is int
        case "float":
            return type(value) in (int, float)
        case "date" | "datetime":
            return isinstance(value, str) and _is_time(kind, value)
        case _ if kind.startswith("list["):
            return isinstance(value, list)
        case _ if kind.startswith("dict["):
            inner = kind.removeprefix("dict[str, ").removesuffix("]")
            return isinstance(value, dict) and all(fits(inner, each) for each in value.values())
        case _:
            cls = CLASSES[kind]
            return isinstance(value, dict) and all(
                fits(annotation(cls, name), each) for name, each in value.items() if name in cls.FIELDS
            )


def _is_time(kind: str, value: str) -> bool:
    try:
        (date if kind == "date" else datetime).fromisoformat(value)
    except ValueError:
        return False
    return True


VALUES = {
    "string for number": "12",
    "number for string": 12,
    "float for int": 12.5,
    "object for string": {"a": 1},
    "empty string for date": "",
    "absurd date": "2026-99-99T77:00:00Z",
    "boolean": True,
    "list of nulls in place of one": [None],
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
@pytest.mark.asyncio
async def test_unexpected_values_in_every_field(value: Any, caplog: pytest.LogCaptureFixture) -> None:
    covered: set[tuple[str, str]] = set()
    for name, cls in CLASSES.items():
        caplog.clear()
        # One object per field, and one with the value in all fields.
        objects = [{field: value} for field in cls.FIELDS]
        kantata = client(enveloped([*objects, dict.fromkeys(cls.FIELDS, value)]))
        found = await walked(kantata, cls)
        assert len(found) >= len(objects), name
        for model, received in zip(found, objects, strict=False):
            (field,) = received
            getattr(model, field)
            repr(model)
            assert model.to_dict() == received
            covered.add((name, field))
        if isinstance(value, list):
            continue  # the items of lists have a test of their own below
        rows = {(row.model, row.field): row for row in kantata.drift}
        expected = {(name, field) for field in cls.FIELDS if not fits(annotation(cls, field), value)}
        assert rows.keys() == expected
        assert {row.times for row in rows.values()} <= {2}
        assert {(row.operation, row.request_id) for row in rows.values()} <= {("GET /things", "r-42")}
        assert len(caplog.records) == len(expected)
    assert covered == {(name, field) for name, cls in CLASSES.items() for field in cls.FIELDS}
    for definition, schema in contract()["definitions"].items():
        assert {(class_name(definition), field) for field in schema.get("properties", {})} <= covered


@pytest.mark.asyncio
async def test_null_is_not_drift_in_any_field(caplog: pytest.LogCaptureFixture) -> None:
    for cls in CLASSES.values():
        kantata = client(enveloped([{field: None} for field in cls.FIELDS]), on_drift="raise")
        for model in await walked(kantata, cls):
            (field,) = model.to_dict()
            assert getattr(model, field) is None
        assert not kantata.drift
    assert caplog.records == []


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.asyncio
async def test_on_drift_raise_names_the_field(name: str) -> None:
    cls = CLASSES[name]
    field, value = next(
        (field, value)
        for field in cls.FIELDS
        for value in VALUES.values()
        if not isinstance(value, list) and not fits(annotation(cls, field), value)
    )
    with pytest.raises(MalformedResponseError, match=rf"GET /things: .*\({name}\.{field}\)") as caught:
        await walked(client(enveloped([{}, {field: value}]), on_drift="raise"), cls)
    error = caught.value
    assert (error.method, error.path, error.request_id) == ("GET", "/things", "r-42")


@pytest.mark.asyncio
async def test_on_drift_ignore_logs_nothing(caplog: pytest.LogCaptureFixture) -> None:
    kantata = client(enveloped([{"title": 7, "nobody": 1}], strange={"1": {}}), on_drift="ignore")
    (story,) = await walked(kantata, models.Story)
    assert story.title == 7
    assert not kantata.drift
    assert caplog.records == []


def test_invalid_on_drift_is_rejected() -> None:
    with pytest.raises(UsageError, match=r"on_drift must be 'warn', 'raise' or 'ignore', not 'loud'"):
        Kantata("secret", on_drift="loud")  # type: ignore[arg-type]


# --- where it is found -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("received", "row"),
    [
        ({"assignee_ids": [1, 2]}, ("Story", "assignee_ids", "list[str]", "an array")),
        ({"assignee_ids": "1,2"}, ("Story", "assignee_ids", "list[str]", "text like '9,9'")),
        ({"title": ""}, None),
        ({"due_date": ""}, ("Story", "due_date", "date", "empty text")),
        ({"due_date": "03/04/2026"}, ("Story", "due_date", "date", "text like '99/99/9999'")),
        ({"title": 7}, ("Story", "title", "str", "a whole number")),
        ({"title": 7.5}, ("Story", "title", "str", "a number")),
        ({"title": False}, ("Story", "title", "str", "a boolean")),
        ({"title": {}}, ("Story", "title", "str", "an object")),
        ({"archived": "true"}, ("Story", "archived", "bool", "text like 'aaaa'")),
        ({"mood": None}, ("Story", "mood", "no field", "null")),
    ],
)
@pytest.mark.asyncio
async def test_row_of_a_difference(received: dict[str, Any], row: tuple[str, str, str, str] | None) -> None:
    kantata = client(enveloped([received]))
    await walked(kantata, models.Story)
    assert [(each.model, each.field, each.expected, each.received) for each in kantata.drift] == (
        [row] if row else []
    )


@pytest.mark.asyncio
async def test_difference_in_an_inner_object() -> None:
    kantata = client(enveloped([{"external_link": {"url": 7}}]))
    (workspace,) = await walked(kantata, models.Workspace)
    assert workspace.external_link.url == 7
    assert [(row.model, row.field) for row in kantata.drift] == [("Workspace", "external_link")]


@pytest.mark.asyncio
async def test_difference_in_the_envelope() -> None:
    body = enveloped([{"id": "1"}], strange={"1": {"id": "1"}})
    body["results"].append({"key": "things", "id": "404"})
    kantata = client(body)
    found = await walked(kantata, models.Story)
    assert [each.id for each in found] == ["1"]
    assert {(row.model, row.field) for row in kantata.drift} == {
        ("envelope", "strange"),
        ("envelope", "results"),
    }


@pytest.mark.asyncio
async def test_requested_association_that_is_absent() -> None:
    kantata = client(enveloped([{"id": "7"}], key="stories"))
    (story,) = await kantata.stories.list(include=["assignees"]).collect()
    assert story.assignees == []
    (row,) = kantata.drift
    assert (row.model, row.field, row.received) == ("Story", "assignee_ids", "absent")


@pytest.mark.asyncio
async def test_difference_in_a_sideloaded_object() -> None:
    body = enveloped(
        [{"id": "7", "assignee_ids": ["3"]}], key="stories", users={"3": {"id": "3", "full_name": 1}}
    )
    kantata = client(body)
    (story,) = await kantata.stories.list(include=["assignees"]).collect()
    assert story.assignees[0].full_name == 1
    assert [(row.model, row.field) for row in kantata.drift] == [("User", "full_name")]


# --- how it is reported ----------------------------------------------------------------------------


@pytest.mark.asyncio
async def test_difference_is_logged_once_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    kantata = client(enveloped([{"id": str(n), "title": n} for n in range(5)]), on_drift="warn")
    for _ in range(4):
        await walked(kantata, models.Story)
    (row,) = kantata.drift
    assert row.times == 5 + 3, "the first response as a whole, one object of each later one"
    assert [(record.name, record.levelno) for record in caplog.records] == [
        ("kantata_client", logging.WARNING)
    ]
    assert caplog.text.endswith(
        "GET /things: the service differs from the contract: Story.title should be str, but is a whole number "
        "(request id r-42); logged once\n"
    )


@pytest.mark.asyncio
async def test_samples_find_drift_that_begins_later() -> None:
    clean, drifted = (
        enveloped([{"id": str(n), "title": title} for n in range(20)]) for title in ("as always", 7)
    )
    kantata = client(clean, drifted)
    for _ in range(3):
        await walked(kantata, models.Story)
    assert [(row.model, row.field) for row in kantata.drift] == [("Story", "title")]


@pytest.mark.asyncio
async def test_plain_object_is_checked_in_every_response(recorder: Recorder) -> None:
    recorder.answer = {"download_url": "https://cdn.invalid/1", "unheard_of": 1}
    kantata = recorder.client(on_drift="warn")
    for _ in range(5):
        await kantata.exports.download_url(1)
    (row,) = kantata.drift
    assert (row.field, row.times) == ("unheard_of", 5)


@pytest.mark.asyncio
async def test_received_text_is_reported_as_a_pattern(caplog: pytest.LogCaptureFixture) -> None:
    secret = "Zebra-4711 Füße " + "x" * 100
    kantata = client(
        enveloped([{"position": secret, "zebra": secret, "due_date": secret, "assignee_ids": secret}])
    )
    await walked(kantata, models.Story)
    told = caplog.text + str(kantata.drift) + repr(kantata.drift)
    for row in kantata.drift:
        told += repr(row)
    assert len(kantata.drift) == 4
    for part in ("Zebra", "4711", "Füße", "x" * 20):
        assert part not in told
    assert "aaaaa-9999 aaaa aaaaaaaa" in told
    with pytest.raises(MalformedResponseError) as caught:
        await walked(client(enveloped([{"position": secret}]), on_drift="raise"), models.Story)
    assert "Zebra" not in str(caught.value)


@pytest.mark.asyncio
async def test_printed_table() -> None:
    kantata = client(enveloped([{"title": 7, "mood": "good"}, {"title": 8}]))
    assert str(kantata.drift) == "no differences from the contract"
    await walked(kantata, models.Story)
    assert str(kantata.drift).splitlines() == [
        "model  field  contract  received          times  first seen in  request id",
        "-----  -----  --------  ----------------  -----  -------------  ----------",
        "Story  title  str       a whole number    2      GET /things    r-42",
        "Story  mood   no field  text like 'aaaa'  1      GET /things    r-42",
    ]
    assert repr(kantata.drift) == "<Drift: 2 differences from the contract>"
    assert len(kantata.drift) == 2
    assert kantata.with_token("another").drift is kantata.drift
