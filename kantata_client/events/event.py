"""Events of the change feed."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property
from hashlib import blake2b
from typing import Any, cast

import attrs
import orjson

from kantata_client import models
from kantata_client._calls.envelope import class_under
from kantata_client._objects.model import Model, wrap
from kantata_client.models.subscribed_event import SubscribedEvent

_PAYLOADS = ("previous_payload", "current_payload", "payload_changes")


@attrs.frozen(eq=False)
class Event:
    """A change of a record: it was created, updated, deleted, or changed in another way that the service reports."""

    record: SubscribedEvent = attrs.field(repr=False)
    """The event as received."""
    id: str
    type: str
    """Such as `"time_entry:updated"`."""
    subject_type: str | None
    """Class of the record, such as `"TimeEntry"`."""
    subject_id: str | None
    changed_at: datetime | None
    """When the record was changed."""
    written_at: datetime
    """When the service wrote the event, sometimes minutes after the change."""
    user_id: str | None
    """Who made the change."""
    workspace_id: str | None
    """The project that the record belongs to, if any."""

    @property
    def subject(self) -> str:
        """The part of the type before the colon, such as `"time_entry"`."""
        return self.type.partition(":")[0]

    @property
    def action(self) -> str:
        """The part of the type after the colon, such as `"created"`, `"updated"` or `"deleted"`."""
        return self.type.partition(":")[2]

    @cached_property
    def before(self) -> Model | None:
        """The record before the change.

        Its class is that of the record, such as `TimeEntry`, if the contract has one. `None` for a creation, and if the
        service sent no payload or one that is not an object.
        """
        return self._model("previous_payload")

    @cached_property
    def after(self) -> Model | None:
        """The record after the change, like `before`; `None` for a deletion."""
        return self._model("current_payload")

    @cached_property
    def changes(self) -> dict[str, Any]:
        """The changes by field, as received; empty without a payload."""
        decoded = _decoded(self.record.to_dict().get("payload_changes"))
        return cast("dict[str, Any]", decoded) if isinstance(decoded, dict) else {}

    @cached_property
    def fingerprint(self) -> str:
        """A hash that identifies copies of the same event.

        The service sends some events twice, under different ids. Type, record, time, user and payloads distinguish copies
        from other changes in the same second. Without payloads it is a hash of the id.
        """
        received = self.record.to_dict()
        payloads = [received.get(name) for name in _PAYLOADS]
        parts: list[Any] = ["id", self.id]
        if any(payload is not None for payload in payloads):
            fields = ("event_type", "subject_type", "subject_id", "subject_changed_at", "user_id")
            parts = [*(received.get(field) for field in fields), *payloads]
        return blake2b(orjson.dumps(parts), digest_size=12).hexdigest()

    def _model(self, name: str) -> Model | None:
        decoded = _decoded(self.record.to_dict().get(name))
        if not isinstance(decoded, dict) or not decoded:
            return None
        key = models.TYPES.get(self.subject_type or "", "")
        return wrap(class_under(key, {}), cast("dict[str, Any]", decoded), None)


def event_of(record: SubscribedEvent, written_at: datetime) -> Event:
    """Make an event from a record of the feed."""
    received = record.to_dict()
    changed_at = record.subject_changed_at
    return Event(
        record,
        str(received.get("id")),
        str(received.get("event_type") or ""),
        received.get("subject_type"),
        _text(received.get("subject_id")),
        changed_at if isinstance(changed_at, datetime) else None,
        written_at,
        _text(received.get("user_id")),
        _text(received.get("context_workspace_id")),
    )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _decoded(payload: Any) -> Any:
    if not isinstance(payload, str):
        return payload
    try:
        return orjson.loads(payload)
    except ValueError:
        return None
