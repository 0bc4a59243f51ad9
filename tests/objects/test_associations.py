"""Associations: those of the contract, and how they read from an envelope."""

from __future__ import annotations

import copy
import gc
import logging
import pickle
import random
import re
import weakref
from typing import Any

import httpx
import pytest

from codegen.compile import CONTRACT
from kantata_client import Kantata, Model, NotIncludedError, models
from kantata_client.operations import OPERATIONS
from tests.contract.contract import class_name, contract, operations

PLAIN = {
    "GET /exports/{id}/download_url",
    "GET /project_accounting_records/export_to_csv",
    "GET /users/{id}/capacity",
    "GET /workspaces/{id}/permissions",
    "POST /workspace_resources/allocations_matching_scheduled_hours",
    "POST /workspace_resources/{id}/allocations_matching_scheduled_hours",
    "PUT /rate_card_set_versions/{id}/publish",
}
"""Operations that accept `include`, although their response can't contain associations."""
ADDED = 6
"""Associations that the overlay adds: those of story follows."""
WRONG_PROSE = {
    ("Expense", "expense_category"): "expense_category_id",
    ("Invoice", "fixed_fee_items"): "fixed_fee_item_ids",
    ("Post", "subject"): "subject_ref",
    ("Workspace", "current_user_participation"): "current_user_participation_id",
}
"""Associations whose field the prose names differently than the definition."""


def entries() -> list[tuple[str, str, str, str]]:
    """(operation, association, type, text) of every line of every `include` parameter."""
    return [
        (each.id, *found)
        for each in operations().values()
        for found in re.findall(
            r"^- `(\w+)` \(([\w:]+)\)(?: - (.*))?$",
            each.query.get("include", {}).get("description", ""),
            re.MULTILINE,
        )
    ]


def test_every_association_of_the_contract_exists() -> None:
    lines = re.findall(r"^ *- `\w+` \(", CONTRACT.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(entries()) == len(lines) + ADDED
    seen = 0
    for operation, name, type_name, text in entries():
        if operation in PLAIN:
            continue
        seen += 1
        cls: type[Model] = getattr(models, OPERATIONS[operation].model or "")
        association = cls.ASSOCIATIONS[name]
        where = f"{cls.__name__}.{name}"
        assert association.name == name, where
        assert association.ids in cls.FIELDS, where
        assert association.many == association.ids.endswith("_ids"), where
        field = re.match(r"referenced by `(\w+)`", text)
        expected = WRONG_PROSE.get((cls.__name__, name)) or (field and field[1])
        assert expected in (None, association.ids), where
        if type_name == "polymorphic":
            assert association.key is None, where
            continue
        key = re.search(r"found under `(\w+)`", text)
        assert key is None or key[1] == association.key, where
        target = OPERATIONS[operation].keys.get(str(association.key)) or models.KEYS[str(association.key)]
        assert target == type_name.rpartition("::")[2], where
    assert seen == len(entries()) - sum(operation in PLAIN for operation, *_ in entries())
    assert seen > 1250


def test_association_ids_have_the_types_of_the_contract() -> None:
    for definition, schema in contract()["definitions"].items():
        cls = getattr(models, class_name(definition))
        for association in cls.ASSOCIATIONS.values():
            declared = schema.get("properties", {}).get(association.ids)
            if declared is not None and association.key is not None:
                assert (declared.get("type") == "array") == association.many, (
                    f"{definition}.{association.name}"
                )


# --- reading them ------------------------------------------------------------------------------


ENVELOPE: dict[str, Any] = {
    "count": 2,
    "results": [{"key": "stories", "id": "2"}, {"key": "stories", "id": "1"}],
    "stories": {
        "1": {
            "id": "1",
            "title": "Root",
            "sub_story_ids": ["2", "3"],
            "parent_id": None,
            "workspace_id": "10",
            "assignee_ids": ["5", "6", "4"],
        },
        "2": {
            "id": "2",
            "title": "Leaf",
            "sub_story_ids": [],
            "parent_id": "1",
            "workspace_id": 10,
            "assignee_ids": ["4"],
        },
        "3": {"id": "3", "title": "Only along", "sub_story_ids": [], "parent_id": "1", "workspace_id": "11"},
    },
    "users": {"4": {"id": "4", "full_name": "Ada"}, "5": {"id": "5", "full_name": "Ben"}},
    "workspaces": {"10": {"id": "10", "title": "Intranet", "creator_id": "4"}},
}


def client(content: Any) -> Kantata:
    async def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=content, headers={"x-request-id": "abc-1"})

    return Kantata("secret", transport=httpx.MockTransport(answer))


async def stories(include: Any, content: Any = ENVELOPE) -> list[models.Story]:
    async with client(content) as kantata:
        return await kantata.stories.list(include=include).collect()


EVERYTHING = ["sub_stories", "parent", "workspace", "assignees"]


@pytest.mark.anyio
async def test_items_are_the_results_in_their_order() -> None:
    assert [story.id for story in await stories(EVERYTHING)] == ["2", "1"]


@pytest.mark.anyio
async def test_there_is_one_object_for_each_type_and_id() -> None:
    leaf, root = await stories(EVERYTHING)
    assert leaf.parent is root
    assert root.sub_stories[0] is leaf
    assert root.workspace is leaf.workspace
    assert root.assignees[1] is leaf.assignees[0]
    assert root.workspace is not None
    assert root.workspace.creator is leaf.assignees[0]
    assert leaf.parent.sub_stories[0].parent is root


@pytest.mark.anyio
async def test_responses_do_not_share_objects() -> None:
    first, second = await stories(EVERYTHING), await stories(EVERYTHING)
    assert first[0].workspace == second[0].workspace
    assert first[0].workspace is not second[0].workspace


@pytest.mark.anyio
async def test_associated_objects_have_their_type_and_the_order_of_the_ids() -> None:
    _, root = await stories(EVERYTHING)
    assert [story.title for story in root.sub_stories] == ["Leaf", "Only along"]
    assert [type(user) for user in root.assignees] == [models.User, models.User]
    assert type(root.workspace) is models.Workspace


@pytest.mark.anyio
async def test_objects_withheld_for_lack_of_permission() -> None:
    """Included, but absent: `None` or left out, while the ids are still there."""
    _, root = await stories(EVERYTHING)
    assert [user.full_name for user in root.assignees] == ["Ben", "Ada"]
    assert root.assignee_ids == ["5", "6", "4"]
    content = {**ENVELOPE, "workspaces": {}}
    for leaf in await stories(EVERYTHING, content):
        assert leaf.workspace is None
        assert leaf.workspace_id in ("10", 10)
    content = {key: value for key, value in ENVELOPE.items() if key != "workspaces"}
    assert [story.workspace for story in await stories(EVERYTHING, content)] == [None, None]


@pytest.mark.anyio
async def test_association_without_an_object_is_none() -> None:
    leaf, root = await stories(EVERYTHING)
    assert root.parent is None
    assert leaf.sub_stories == []


@pytest.mark.anyio
@pytest.mark.parametrize("include", [None, [], ["workspace"], "workspace"])
async def test_association_not_included_names_the_include(include: Any) -> None:
    for content in (ENVELOPE, {**ENVELOPE, "users": {}}):
        _, root = await stories(include, content)
        with pytest.raises(NotIncludedError) as caught:
            root.followers  # noqa: B018
        assert 'include=["followers"]' in str(caught.value)
        assert (caught.value.model, caught.value.association) == ("Story", "followers")
        with pytest.raises(NotIncludedError, match="root"):
            root.root  # noqa: B018


@pytest.mark.anyio
async def test_no_association_is_readable_without_include() -> None:
    content = {
        "count": 1,
        "results": [{"key": "stories", "id": "7"}],
        "stories": {"7": {"id": "7", "workspace_id": "10"}},
    }
    (story,) = await stories(None, content)
    with pytest.raises(NotIncludedError, match='include=\\["workspace"\\]'):
        story.workspace  # noqa: B018


def test_object_made_by_hand_has_no_associations() -> None:
    with pytest.raises(
        NotIncludedError, match=re.escape("kantata.stories.get('7', include=[\"workspace\"])")
    ):
        models.Story(id="7", workspace_id="10").workspace  # noqa: B018


@pytest.mark.anyio
@pytest.mark.parametrize("again", [copy.copy, lambda each: pickle.loads(pickle.dumps(each)), Model.replace])
async def test_include_does_not_apply_to_sideloads_of_the_same_class(again: Any) -> None:
    """`Only along` is a sub-story: the request included the assignees of its results only."""
    _, root = await stories(EVERYTHING)
    along = again(root.sub_stories[1])
    assert along.title == "Only along"
    assert "assignee_ids" not in along.to_dict()
    with pytest.raises(
        NotIncludedError, match=re.escape("kantata.stories.get('3', include=[\"assignees\"])")
    ):
        along.assignees  # noqa: B018
    along.assignee_ids = []
    assert along.assignees == []
    along.assignee_ids = ["404"]
    with pytest.raises(NotIncludedError):
        along.assignees  # noqa: B018


@pytest.mark.anyio
async def test_advice_names_an_include_that_the_service_accepts() -> None:
    _, root = await stories(EVERYTHING)
    (user, *_) = root.assignees
    with pytest.raises(
        NotIncludedError, match=re.escape("kantata.users.get('5', include=[\"account_membership\"])")
    ):
        user.account_membership  # noqa: B018


def test_association_can_not_be_set() -> None:
    with pytest.raises(AttributeError, match="set 'workspace_id'"):
        models.Story(id="7").workspace = models.Workspace(id="10")  # type: ignore[assignment,misc]


@pytest.mark.anyio
async def test_include_as_comma_separated_text() -> None:
    leaf, _ = await stories("workspace, parent")
    assert leaf.workspace is not None
    assert leaf.parent is not None


@pytest.mark.anyio
async def test_polymorphic_reference_by_key_and_by_type_name() -> None:
    content = {
        "count": 3,
        "results": [{"key": "custom_field_values", "id": each} for each in ("1", "2", "3", "4")],
        "custom_field_values": {
            "1": {"id": "1", "subject_ref": {"key": "workspaces", "id": "10"}},
            "2": {"id": "2", "subject_ref": {"key": "Story", "id": "7"}},
            "3": {"id": "3", "subject_ref": {"key": "users", "id": "99"}},
            "4": {"id": "4", "subject_ref": None},
        },
        "workspaces": {"10": {"id": "10"}},
        "stories": {"7": {"id": "7"}},
    }
    async with client(content) as kantata:
        values = await kantata.custom_field_values.list(
            subject_type="Workspace", include=["subject"]
        ).collect()
    assert type(values[0].subject) is models.Workspace
    assert type(values[1].subject) is models.Story
    assert values[1].subject is values[1].subject
    assert values[2].subject is None
    assert values[3].subject is None


@pytest.mark.anyio
async def test_polymorphic_reference_to_a_type_outside_the_contract() -> None:
    content = {
        "count": 1,
        "results": [{"key": "subscribed_events", "id": "1"}],
        "subscribed_events": {"1": {"id": "1", "subject_ref": {"key": "rockets", "id": "10"}}},
        "rockets": {"10": {"id": "10", "fuel": "full"}},
    }
    async with client(content) as kantata:
        (event,) = await kantata.subscribed_events.list(include=["subject"]).collect()
    assert type(event.subject) is Model
    assert event.subject.to_dict() == {"id": "10", "fuel": "full"}
    assert event.subject.extra["fuel"] == "full"


@pytest.mark.anyio
async def test_results_with_another_key_than_the_route() -> None:
    content = {
        "count": 1,
        "results": [{"key": "other_stories", "id": "7"}],
        "other_stories": {"7": {"id": "7"}},
        "stories": {"8": {"id": "8"}},
    }
    assert [story.id for story in await stories(None, content)] == ["7"]


@pytest.mark.anyio
async def test_composite_ids() -> None:
    content = {
        "count": 1,
        "results": [{"key": "stories", "id": "123:percent_complete"}],
        "stories": {"123:percent_complete": {"id": "123:percent_complete"}},
    }
    assert [story.id for story in await stories(None, content)] == ["123:percent_complete"]


@pytest.mark.anyio
async def test_results_without_an_object_are_left_out_and_count_as_drift(
    caplog: pytest.LogCaptureFixture,
) -> None:
    content = {**ENVELOPE, "results": [{"key": "stories", "id": "404"}, *ENVELOPE["results"]]}
    with caplog.at_level(logging.WARNING, "kantata_client"):
        assert [story.id for story in await stories(EVERYTHING, content)] == ["2", "1"]
    assert "GET /stories" in caplog.text
    assert "abc-1" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.anyio
async def test_copies_and_pickles_keep_their_associations() -> None:
    leaf, _ = await stories(EVERYTHING)
    for again in (copy.copy(leaf), copy.deepcopy(leaf), pickle.loads(pickle.dumps(leaf))):
        assert again == leaf
        assert again.workspace == leaf.workspace
        assert again.parent is not None
        assert again.parent.title == "Root"
        with pytest.raises(NotIncludedError):
            again.root  # noqa: B018


@pytest.mark.anyio
async def test_page_is_freed_with_its_last_object() -> None:
    leaf, root = await stories(EVERYTHING)
    workspace = leaf.workspace
    assert workspace is not None
    envelope = weakref.ref(leaf)
    del leaf, root
    gc.collect()
    assert envelope() is None
    assert workspace.creator is not None


async def one_page(content: Any, include: Any) -> Any:
    async with client(content) as kantata:
        return await kantata.stories.list(include=include).pages().__anext__()


@pytest.mark.anyio
async def test_copy_shares_the_objects_of_its_page_whichever_is_read_first() -> None:
    page = await one_page(ENVELOPE, EVERYTHING)
    leaf = page.items[0]
    copied = copy.copy(leaf)
    assert copied.workspace is leaf.workspace


def random_stories(seed: int) -> dict[str, Any]:
    """Stories in trees, in circles, and in both; some are sideloads, some are missing."""
    chance = random.Random(seed)
    identifiers = [str(each) for each in range(1, 31)]
    stories = {
        each: {
            "id": each,
            "parent_id": chance.choice([None, chance.choice(identifiers)]),
            "sub_story_ids": chance.sample(identifiers, chance.choice([0, 0, 1, 3])),
            "workspace_id": chance.choice(["90", "91"]),
        }
        for each in identifiers
    }
    results = chance.sample(identifiers, 25)
    for each in chance.sample(identifiers, 3):
        del stories[each]
    workspaces = {"90": {"id": "90"}, "91": {"id": "91"}}
    references = [{"key": "stories", "id": each} for each in results]
    return {"count": 25, "results": references, "stories": stories, "workspaces": workspaces}


def reach_in(content: dict[str, Any], identifier: str) -> set[str]:
    """The ids of the objects that a story leads to."""
    found: set[str] = set()
    waiting = [identifier]
    while waiting:
        story = content["stories"].get(waiting.pop())
        if story is None:
            continue
        near = {story["parent_id"], *story["sub_story_ids"]} & content["stories"].keys()
        found |= {story["workspace_id"]}
        waiting += near - found
        found |= near
    return found


@pytest.mark.anyio
@pytest.mark.parametrize("seed", range(20))
async def test_kept_stories_keep_what_they_lead_to_and_nothing_else(seed: int) -> None:
    content = random_stories(seed)
    kept = await stories(["parent", "sub_stories", "workspace"], content)
    assert len(kept) == sum(each["id"] in content["stories"] for each in content["results"])
    for story in [*kept, *pickle.loads(pickle.dumps(kept))]:
        envelope: Any = story.__envelope__
        found = {identifier for cells in envelope._cells.values() for identifier in cells}
        assert found == reach_in(content, story.id), story.id
        assert [each.id for each in story.sub_stories] == [
            each for each in story.sub_story_ids if each in content["stories"]
        ]
