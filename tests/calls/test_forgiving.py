"""Ranges and dates in every accepted form, and suggestions for names that do not exist."""

from __future__ import annotations

import copy
import re
import traceback
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from kantata_client import Kantata, UnexpectedArgumentError, UsageError
from kantata_client._calls.arguments import query_of
from kantata_client._suggestions import similar
from kantata_client.models import Story
from kantata_client.operations import OPERATIONS

EAST = timezone(timedelta(hours=2))


@pytest.fixture
def kantata() -> Kantata:
    return Kantata("secret")


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ((date(2026, 1, 2), date(2026, 3, 4)), "2026-01-02:2026-03-04"),
        (["2026-01-02", date(2026, 1, 2)], "2026-01-02:2026-01-02"),
        ((None, date(2026, 3, 4)), ":2026-03-04"),
        ((date(2026, 1, 2), None), "2026-01-02:"),
        ("2026-01-02:2026-03-04", "2026-01-02:2026-03-04"),
    ],
    ids=["dates", "text", "open start", "open end", "as the service writes it"],
)
def test_range_of_dates(given: Any, sent: str) -> None:
    operation = OPERATIONS["GET /time_entries"]
    assert query_of(operation, {"date_performed_between": given}) == [("date_performed_between", sent)]


def test_range_of_times_is_written_without_colons() -> None:
    operation = OPERATIONS["GET /story_allocation_days"]
    pair = (datetime(2026, 1, 2, 3, 4, 5, tzinfo=EAST), None)
    assert query_of(operation, {"updated_at_between": pair}) == [("updated_at_between", "20260102T010405Z:")]


def test_range_of_times_accepts_dates() -> None:
    operation = OPERATIONS["GET /story_allocation_days"]
    pair = ("2026-01-02", datetime(2026, 1, 2, 3, tzinfo=UTC))
    early = (datetime(1, 1, 1, tzinfo=UTC), datetime(829, 2, 12, tzinfo=UTC))
    assert query_of(operation, {"updated_at_between": early}) == [
        ("updated_at_between", "00010101T000000Z:08290212T000000Z")
    ]
    with pytest.raises(UsageError, match="years 1 to 9999 in UTC"):
        query_of(operation, {"updated_at_between": (datetime.min.replace(tzinfo=EAST), None)})
    sent = [("updated_at_between", "20260102T000000Z:20260102T030000Z")]
    assert query_of(operation, {"updated_at_between": pair}) == sent


@pytest.mark.parametrize(
    "given",
    [(date(2026, 3, 4), date(2026, 1, 2)), (None, None), (date(2026, 1, 2),), ("x", "y"), (1, 2)],
    ids=["backwards", "empty", "single", "no dates", "numbers"],
)
def test_invalid_ranges_are_rejected(kantata: Kantata, given: Any) -> None:
    with pytest.raises(UsageError, match=r"time_entries\.list: date_performed_between"):
        kantata.time_entries.list(date_performed_between=given)


def test_every_between_filter_accepts_a_pair() -> None:
    ranges = [
        (operation.id, name)
        for operation in OPERATIONS.values()
        for name, parameter in operation.query.items()
        if name.endswith("_between") and parameter.range is None
    ]
    assert not ranges


def test_date_as_a_time_means_midnight_utc() -> None:
    operation = OPERATIONS["GET /time_entries"]
    for given in (date(2026, 1, 2), datetime(2026, 1, 2, tzinfo=UTC)):
        assert query_of(operation, {"created_after": given}) == [
            ("created_after", "2026-01-02T00:00:00+00:00")
        ]


@pytest.mark.parametrize(
    "given",
    [datetime(2026, 1, 2, tzinfo=UTC).replace(tzinfo=None), "2026-01-02T03:04:05", "2026-01-02 03:04"],
    ids=str,
)
def test_times_without_a_zone_are_rejected(kantata: Kantata, given: Any) -> None:
    with pytest.raises(UsageError, match="has no time zone"):
        kantata.time_entries.list(created_after=given)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("projects", "workspaces"),
        ("tasks", "stories"),
        ("timesheets", "timesheet_submissions"),
        ("comments", "posts"),
        ("storys", "stories"),
        ("time_entrys", "time_entries"),
    ],
)
def test_suggestion_for_a_resource(kantata: Kantata, name: str, meant: str) -> None:
    with pytest.raises(AttributeError, match=f"did you mean '{meant}'"):
        getattr(kantata, name)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("updated_since", "updated_after"),
        ("created_until", "created_before"),
        ("project_id", "workspace_id"),
        ("sort", "order"),
        ("fields", "optional_fields"),
        ("expand", "include"),
        ("page_size", "per_page"),
        ("workspce_id", "workspace_id"),
    ],
)
def test_suggestion_for_an_argument(kantata: Kantata, name: str, meant: str) -> None:
    message = f"^stories.list got an unexpected keyword argument '{name}'; did you mean '{meant}'"
    with pytest.raises(UnexpectedArgumentError, match=message):
        kantata.stories.list(**{name: 1})


@pytest.mark.anyio
async def test_suggestion_for_an_argument_of_a_coroutine_method(kantata: Kantata) -> None:
    with pytest.raises(
        UsageError, match=r"stories\.create got an unexpected keyword argument 'name'; did you mean 'title'"
    ):
        await kantata.stories.create(workspace_id=1, name="x")
    with pytest.raises(
        TypeError, match=r"users\.me got an unexpected keyword argument 'includes'; did you mean 'include'"
    ):
        await kantata.users.me(includes="x")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("access_token", "token"),
        ("api_key", "token"),
        ("max_retries", "retries"),
        ("url", "base_url"),
        ("rate_limit", "throttle"),
        ("proxy", "transport"),
        ("timout", "timeout"),
    ],
)
def test_suggestion_for_an_option(name: str, meant: str) -> None:
    message = f"Kantata got an unexpected keyword argument '{name}'; did you mean '{meant}'"
    with pytest.raises(UnexpectedArgumentError, match=message):
        Kantata(**{name: "planted-4711"})
    with pytest.raises(TypeError, match="unexpected keyword argument 'zzzzzzzz'"):
        Kantata("secret", zzzzzzzz=1)


def test_misspelt_option_shows_no_token_in_local_variables() -> None:
    try:
        Kantata("planted-4711", api_key="planted-4712", timout=3)
    except UnexpectedArgumentError as caught:
        error: BaseException | None = caught
    while error is not None:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if frame.f_code.co_filename != __file__:
                assert "planted" not in repr(frame.f_locals)
        error = error.__cause__


@pytest.mark.anyio
async def test_suggestion_for_an_argument_of_the_client(kantata: Kantata) -> None:
    with pytest.raises(UsageError, match=r"Kantata\.with_options got .* 'retry'; did you mean 'retries'"):
        kantata.with_options(retry=0)
    with pytest.raises(UsageError, match=r"Kantata\.from_profile got .* 'profile'; did you mean 'name'"):
        Kantata.from_profile(profile="work")
    with pytest.raises(UsageError, match=r"Kantata\.request got .* 'body'; did you mean 'json'"):
        await kantata.request("GET", "/users/me", body={})
    with pytest.raises(UsageError, match=r"Kantata\.stream got .* 'param'; did you mean 'params'"):
        kantata.stream("GET", "/users/me", param={})


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("retrieve", "did you mean 'get'"),
        ("all", "did you mean 'list'"),
        ("patch", "did you mean 'update'"),
        ("remove", "did you mean 'delete'"),
        ("bulk_create", "did you mean 'create_many'"),
        ("crete", "did you mean 'create'"),
        ("pages", r"a list has it: list\(…\)\.pages"),
        ("to_pandas", r"a list has it: list\(…\)\.to_pandas"),
    ],
)
def test_suggestion_for_a_method(kantata: Kantata, name: str, meant: str) -> None:
    with pytest.raises(AttributeError, match=f"'Stories' object has no attribute '{name}'; {meant}"):
        getattr(kantata.stories, name)


def test_suggested_methods_exist(kantata: Kantata) -> None:
    for resource in kantata.CLASSES:
        for name in ("retrieve", "filter", "bulk_delete", "current"):
            with pytest.raises(AttributeError) as caught:
                getattr(getattr(kantata, resource), name)
            if found := re.search(r"did you mean '(\w+)'", str(caught.value)):
                assert callable(getattr(getattr(kantata, resource), found[1]))


def test_copying_a_resource_asks_for_no_private_name(kantata: Kantata) -> None:
    assert copy.copy(kantata.stories)._session is kantata.stories._session
    assert not hasattr(kantata.stories, "_zzz")


def test_resource_of_with_response(kantata: Kantata) -> None:
    with pytest.raises(AttributeError, match=r"write kantata\.stories\.with_response$"):
        kantata.with_response.stories  # noqa: B018
    with pytest.raises(AttributeError, match=r"no attribute 'zzz'$"):
        kantata.with_response.zzz  # noqa: B018


@pytest.mark.anyio
async def test_resource_is_not_a_list(kantata: Kantata) -> None:
    message = r"kantata\.stories is not a list: write `async for item in kantata\.stories\.list\(\)`"
    with pytest.raises(TypeError, match=message):
        list(kantata.stories)
    with pytest.raises(TypeError, match=message):
        async for _ in kantata.stories:
            pass
    with pytest.raises(TypeError, match=r"stories\.list\(\) is not fetched yet.*collect\(\)\)\[0\]"):
        kantata.stories.list()[0]
    with pytest.raises(TypeError, match=r"write `await stories\.list\(\)\.collect\(limit=5\)`"):
        kantata.stories.list()[:5]
    with pytest.raises(TypeError, match=r"write `\(await stories\.list\(\)\.collect\(\)\)\[…\]`"):
        kantata.stories.list()[5:]
    with pytest.raises(TypeError, match=r"write `await stories\.list\(\)\.count\(\)`"):
        len(kantata.stories.list())
    assert kantata.stories.list()
    stories = kantata.stories.list()
    for walk, item in (
        (stories.pages(), "page"),
        (stories.items(limit=3), "item"),
        (stories.dicts(), "item"),
    ):
        with pytest.raises(TypeError, match=f"write `async for {item} in …`"):
            list(walk)


def test_limit_of_a_list_points_to_the_walk(kantata: Kantata) -> None:
    for name in ("limit", "max_results", "count"):
        with pytest.raises(
            UsageError, match=r"to end a walk early, write \.items\(limit=…\) or \.collect\(limit=…\)"
        ):
            kantata.stories.list(**{name: 5})


def test_argument_without_a_suggestion_points_to_extra_query(kantata: Kantata) -> None:
    with pytest.raises(UsageError, match="what the contract lacks goes into extra_query"):
        kantata.stories.list(zzzzzzzz=1)


@pytest.mark.anyio
async def test_other_type_errors_are_unchanged(kantata: Kantata) -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument") as caught:
        await kantata.stories.get()
    assert not isinstance(caught.value, UsageError)


def test_methods_keep_signature_and_docstring(kantata: Kantata) -> None:
    import inspect

    assert "workspace_id" in inspect.signature(kantata.stories.list).parameters
    assert kantata.stories.list.__doc__
    assert inspect.iscoroutinefunction(kantata.stories.get)
    assert not inspect.iscoroutinefunction(kantata.stories.list)


def test_suggestion_for_a_field() -> None:
    with pytest.raises(TypeError, match="did you mean 'title'"):
        Story(id="1").replace(name="x")
    with pytest.raises(TypeError, match="keyword arguments only"):
        Story(id="1").replace("x")


def test_synonym_is_suggested_only_if_it_exists() -> None:
    assert similar("projects", ("users",)) == ""


def test_types_of_values_can_be_imported_at_run_time() -> None:
    """As `docs/arguments.md` says: `from kantata_client.operations.stories import Include, Order`."""
    from importlib import import_module
    from typing import get_args

    for operation in OPERATIONS.values():
        module = import_module(f"kantata_client.operations.{operation.resource}")
        aliases = {get_args(value) for name, value in vars(module).items() if name[0].isupper()}
        for name, parameter in operation.query.items():
            assert not parameter.values or parameter.values in aliases, (operation.id, name)
    stories = import_module("kantata_client.operations.stories")
    assert "assignees" in get_args(stories.Include)
    assert "updated_at:desc" in get_args(stories.Order)
