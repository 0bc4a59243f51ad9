"""What `update_many` sends of a model: what `replace` changed, or all fields of one made by hand."""

from __future__ import annotations

import copy
import pickle
from datetime import date

import attrs

from kantata_client._calls.drift import Drift
from kantata_client._calls.envelope import decode_envelope
from kantata_client._objects.model import changes_of
from kantata_client.models import Story
from kantata_client.operations import OPERATIONS

RECEIVED = b"""{"count": 1, "results": [{"key": "stories", "id": "7"}], "stories":
    {"7": {"id": "7", "title": "Kick-off", "weight": 1, "billable": true, "newer": 1, "assignee_ids": ["4"]}}}"""


def received() -> Story:
    operation = OPERATIONS["GET /stories"]
    return decode_envelope(RECEIVED, Story, operation, frozenset(), None, Drift("ignore")).items[0]


def test_changes_of_a_received_object_are_unknown() -> None:
    story = received()
    story.title = "Hand-over"
    for each in (received(), story, copy.copy(story), pickle.loads(pickle.dumps(story))):
        assert changes_of(each) is None


def test_changes_made_by_replace_and_by_assignment() -> None:
    story = received().replace(title="Hand-over", due_date=date(2026, 4, 1), weight=None)
    expected = {"title": "Hand-over", "due_date": "2026-04-01", "weight": None}
    assert changes_of(story) == expected
    story.billable = False
    assert changes_of(story) == {**expected, "billable": False}
    story.billable = True
    for each in (story, copy.copy(story), copy.deepcopy(story), pickle.loads(pickle.dumps(story))):
        assert changes_of(each) == expected
    assert changes_of(story.replace(weight=2)) == {**expected, "weight": 2}
    assert changes_of(received().replace(title="Kick-off")) == {}


def test_changing_the_original_does_not_change_the_copy() -> None:
    story = received()
    changed = story.replace(title="Hand-over")
    story.title = "Hand-over"
    story.weight = 5
    assert changes_of(changed) == {"title": "Hand-over"}


def test_change_inside_a_field_is_a_change() -> None:
    story = received()
    changed = story.replace(title="Hand-over")
    assert changed.assignee_ids is not None
    changed.assignee_ids.append("5")
    assert changes_of(changed) == {"title": "Hand-over", "assignee_ids": ["4", "5"]}
    assert story.assignee_ids == ["4"]


def test_true_differs_from_one() -> None:
    assert changes_of(received().replace(weight=True)) == {"weight": True}  # pyright: ignore[reportArgumentType]


def test_all_fields_of_an_object_made_by_hand_are_changes() -> None:
    story = Story(id="7", title="Kick-off", weight=None)
    story.due_date = date(2026, 4, 1)
    assert changes_of(story) == {"id": "7", "title": "Kick-off", "weight": None, "due_date": "2026-04-01"}
    assert changes_of(story.replace(title="Hand-over")) == {**story.to_dict(), "title": "Hand-over"}
    assert (changes_of(attrs.evolve(received(), title="Hand-over")) or {})["billable"] is True
