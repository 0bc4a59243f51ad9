"""The hand-written methods of `kantata.subscribed_events`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from kantata_client._resources.base import Resource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from kantata_client._lists.paginator import Paginator
    from kantata_client.events.checkpoints import Checkpoint
    from kantata_client.events.follow import Follow
    from kantata_client.models.subscribed_event import SubscribedEvent


class SubscribedEventsMethods(Resource):
    """Methods of `kantata.subscribed_events` besides the contract's operations."""

    __slots__ = ()

    def follow(
        self,
        *,
        since: datetime | timedelta | None = None,
        types: str | Iterable[str] | None = None,
        checkpoint: Checkpoint | None = None,
        interval: float = 60.0,
        overlap: timedelta = timedelta(hours=1),
        payloads: bool = True,
        wait: bool = True,
        skip_expired: bool = False,
        now: Callable[[], datetime] | None = None,
    ) -> Follow:
        """Deliver each event of the account's change feed once, and wait for new ones.

            async with kantata.subscribed_events.follow(checkpoint=FileCheckpoint("events.jsonl")) as events:
                async for event in events:
                    print(event.type, event.subject_id, event.before, event.after)

        The service writes some events twice, out of order, or late. So each poll reads the last `overlap` again, and drops
        what was delivered already. Failures of the network or the service are logged, and the next poll tries again.

        Args:
            since: Where to begin if the checkpoint is empty: a time with a zone, or an age. By default, only events written
                from now on. The service keeps events for 9 days.
            types: Event types, such as `"time_entry:deleted"`; all by default.
            checkpoint: Stores the position between runs: a `FileCheckpoint`, a `SQLiteCheckpoint`, or a class with the
                methods of `Checkpoint`. Without one, each run begins at `since`.
            interval: Seconds between the end of a poll and the next one.
            overlap: How late an event may become visible and still be delivered. A longer overlap needs more requests for
                each poll.
            payloads: Ask for the records before and after the change. They are also needed to recognize copies of an event
                that have another id.
            wait: Wait for new events. `False` ends the loop after the events up to now.
            skip_expired: If events after the position have expired, log a warning and continue instead of raising.
            now: Clock that returns times with a zone; for tests.

        Returns:
            An async iterator of `Event`, to be used in `async with`. Nothing is sent before the loop begins.

        Raises:
            UsageError: An argument is invalid.
            EventsExpiredError: In the loop: the position is older than the 9 days for which the service keeps events.
            APIError: In the loop: the service refused the request, for example because the user is not an account
                administrator.

        Source: GET /subscribed_events
        """
        from kantata_client.events.follow import Follow, check_arguments

        check_arguments(since, interval, overlap)
        names = [types] if isinstance(types, str) else None if types is None else list(types)
        return Follow(
            partial(self._events, names, payloads),
            since=since,
            checkpoint=checkpoint,
            interval=interval,
            overlap=overlap,
            wait=wait,
            skip_expired=skip_expired,
            now=now or partial(datetime.now, UTC),
        )

    def _events(self, types: list[str] | None, payloads: bool, after: datetime) -> Paginator[SubscribedEvent]:
        """List the events written after a time, in the order in which they were written."""
        from kantata_client.models.subscribed_event import SubscribedEvent
        from kantata_client.operations.subscribed_events import LIST

        fields = ("previous_payload", "current_payload", "payload_changes") if payloads else None
        query = {"created_after": after, "event_types": types, "optional_fields": fields}
        return self._page(LIST, SubscribedEvent, query=query).stable()
