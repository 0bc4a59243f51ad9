"""The change feed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kantata_client.sandbox import feed
from kantata_client.sandbox.refusals import Refusal, bad_request, system
from kantata_client.sandbox.registry import Resource, declare
from kantata_client.sandbox.resources._shared import membership

if TYPE_CHECKING:
    from collections.abc import Sequence

    from kantata_client.sandbox.call import Call
    from kantata_client.sandbox.feed import FeedEvent

_KEY = "subscribed_events"


def _list(call: Call) -> dict[str, Any]:
    """A page of the events, newest first unless the request orders them."""
    source = _feed(call)
    parameters = {name: call.parameter(name) for name in call.operation.query}
    found = source.visible(
        feed.moment(parameters["created_after"]), feed.moment(parameters["created_before"])
    )
    types, users, subjects = (_words(parameters[name]) for name in ("event_types", "user_ids", "subject_id"))
    found = [
        event
        for event in found
        if (types is None or event.type in types)
        and (users is None or event.user in users)
        and (subjects is None or event.identity in subjects)
    ]
    if parameters["subject_id"] is not None and parameters["subject_type"] is None:
        raise bad_request("`subject_id` needs `subject_type`.")
    if parameters["subject_type"] is not None:
        found = [event for event in found if event.subject_type == parameters["subject_type"]]
    only = call.query.only
    if only is not None:
        found = [event for event in found if event.id in only]
    by_subject, by_type = (
        parameters[name] in ("true", "1") for name in ("most_recent", "most_recent_by_event_type")
    )
    if by_subject and by_type:
        raise bad_request("`most_recent` can't be combined with `most_recent_by_event_type`.")
    if by_subject or by_type:
        found = _latest(found, by_type=by_type)
    order = call.query.order or "created_at:desc"
    if order not in call.operation.query["order"].values:
        values = ", ".join(call.operation.query["order"].values)
        raise bad_request(f"`order` does not take {order!r}; it takes {values}.")
    if order == "created_at:desc":
        found = found[::-1]
    return _envelope(call, found, whole=only is not None)


def _envelope(call: Call, found: Sequence[FeedEvent], *, whole: bool) -> dict[str, Any]:
    query, store = call.query, call.scope.store
    count, size = len(found), max(query.limit, len(found)) if whole else query.limit
    page = found if whole else found[query.offset : query.offset + query.limit]
    subject = "subject" in query.include
    events = {event.id: feed.shown(event, store, optional=query.optional, subject=subject) for event in page}
    maps: dict[str, dict[str, Any]] = {_KEY: events}
    if subject:
        for event in page:
            if store.get(event.key, event.identity) is not None:
                maps.setdefault(event.key, {})[event.identity] = store.encoded(event.key, event.identity)
    return {
        "count": count,
        "meta": {
            "count": count,
            "page_count": -(-count // size) if size else 0,
            "page_number": query.number if count else 0,
            "page_size": size,
        },
        "results": [{"key": _KEY, "id": event.id} for event in page],
        **maps,
    }


def _words(value: str | None) -> set[str] | None:
    return None if value is None else {word.strip() for word in value.split(",")}


def _latest(events: list[FeedEvent], *, by_type: bool) -> list[FeedEvent]:
    latest = {(event.key, event.identity, event.type if by_type else ""): event for event in events}
    kept = {event.id for event in latest.values()}
    return [event for event in events if event.id in kept]


def _event_types(call: Call) -> dict[str, Any]:
    _feed(call)
    return feed.event_types()


def _feed(call: Call) -> feed.Feed:
    """The feed, for an administrator of the account."""
    source = call.scope.store.feed
    if membership(call.scope, call.scope.viewer).get("permission") != "administrator":
        raise system(403, "Only account administrators can read the events of an account.")
    if source is None:
        raise Refusal(403, {"type": "system", "message": "The account has no Subscribed Events."})
    return source


declare(
    Resource(
        key=_KEY,
        routes={
            "GET /subscribed_events": _list,
            "GET /subscribed_events/event_types": _event_types,
        },
    )
)
