"""Follows the change feed, and delivers each event once, across restarts.

The service keeps events for 9 days. It writes some events twice, out of order, or minutes after the change. So each poll
reads the last hour (`overlap`) again, and drops by fingerprint what was delivered already.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

from kantata_client._calls.numbers import seconds
from kantata_client._lazy import resolvable
from kantata_client.errors import (
    EventsExpiredError,
    KantataConnectionError,
    MalformedResponseError,
    RateLimitedError,
    ServerError,
    UsageError,
)
from kantata_client.events.event import event_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from types import TracebackType
    from typing import Self

    from kantata_client._lists.paginator import Paginator
    from kantata_client._lists.walk import Pages
    from kantata_client.events.checkpoints import Checkpoint
    from kantata_client.events.event import Event
    from kantata_client.models.subscribed_event import SubscribedEvent

logger = logging.getLogger("kantata_client")

RETENTION = timedelta(days=9)
"""How long the service keeps events."""
WARNING_AGE = timedelta(days=7)
"""Age of a position at which a warning is logged."""
_WARNING_INTERVAL = timedelta(hours=6)
_RESOLUTION = timedelta(seconds=1)
"""It is not documented whether `created_after` includes the given time."""
_CLOCK_SKEW = timedelta(minutes=10)
"""How far this machine's clock may be ahead of the service's."""


@resolvable
class Follow:
    """An async iterator over the events of an account, made by `kantata.subscribed_events.follow`.

    An event counts as delivered when the next one is requested, or when the `async with` block ends without an exception.
    """

    def __init__(
        self,
        list_events: Callable[[datetime], Paginator[SubscribedEvent]],
        *,
        since: datetime | timedelta | None,
        checkpoint: Checkpoint | None,
        interval: float,
        overlap: timedelta,
        wait: bool,
        skip_expired: bool,
        now: Callable[[], datetime],
    ) -> None:
        self._list_events = list_events
        self._since = since
        self._checkpoint = checkpoint
        self._interval = interval
        self._overlap = overlap
        self._wait = wait
        self._skip_expired = skip_expired
        self._now = now
        self._until: datetime | None = None
        self._floor = datetime.min.replace(tzinfo=UTC)
        self._delivered: dict[str, datetime] = {}
        self._pages: Pages[SubscribedEvent] | None = None
        self._started = datetime.max.replace(tzinfo=UTC)
        self._queue: list[Event] = []
        self._page_end: datetime | None = None
        self._current: Event | None = None
        self._warned_at: datetime | None = None
        self._ended = False

    def __repr__(self) -> str:
        return f"<Follow: all events until {self._until}>"

    @property
    def until(self) -> datetime | None:
        """Time up to which all events were delivered; `None` before the first event was requested."""
        return self._until

    @property
    def expires_in(self) -> timedelta | None:
        """Time left until the service drops events that were not delivered yet."""
        return None if self._until is None else self._until + RETENTION - self._now()

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._current = None  # it may not have been handled, so the next run delivers it again
        await self.aclose()

    async def aclose(self) -> None:
        """Mark the last event as delivered, and close the checkpoint."""
        self._ended = True
        await self._confirm_delivery()
        if self._checkpoint is not None:
            await self._checkpoint.aclose()

    async def __anext__(self) -> Event:
        await self._confirm_delivery()
        while not self._ended:
            if self._queue:
                self._current = self._queue.pop()
                return self._current
            if self._until is None:
                await self._load_position()
            elif self._pages is None:
                self._started = self._now()
                until = self._check_age(self._until, self._started)
                self._pages = self._list_events(max(until - self._overlap, self._floor) - _RESOLUTION).pages(
                    concurrency=1
                )
            else:
                await self._next_page()
        raise StopAsyncIteration

    async def _load_position(self) -> None:
        position = None if self._checkpoint is None else await self._checkpoint.load()
        if position is not None:
            self._until, self._floor = position.until, position.floor
            self._delivered = dict(position.delivered)
            return
        since = self._since
        until = since if isinstance(since, datetime) else self._now() - (since or timedelta())
        if self._checkpoint is not None:
            await self._checkpoint.advance(until, until)
        self._until = self._floor = until

    async def _next_page(self) -> None:
        """Queue the new events of the next page. At the end of the list, store the position and wait for the next poll."""
        pages = cast("Pages[SubscribedEvent]", self._pages)
        try:
            page = await anext(pages)
        except StopAsyncIteration:
            self._pages = None
            await self._advance(self._started - _CLOCK_SKEW)
            await self._pause()
            return
        except (KantataConnectionError, ServerError, RateLimitedError) as error:
            self._pages = None
            if not self._wait:
                raise
            logger.warning("the change feed can't be read, trying again in %.0f s: %s", self._interval, error)
            await self._pause()
            return
        for record in page.items:
            written_at = record.created_at
            if not isinstance(written_at, datetime):
                msg = f"{record!r} has no created_at, by which the feed is read: report it to Kantata's support."
                raise MalformedResponseError(msg, method="GET", path="/subscribed_events")
            event = event_of(record, written_at if written_at.tzinfo else written_at.replace(tzinfo=UTC))
            self._page_end = max(self._page_end or event.written_at, event.written_at)
            if event.written_at >= self._floor:
                await self._enqueue(event)
        self._queue.reverse()
        if not self._queue:
            await self._advance(self._page_end)

    async def _enqueue(self, event: Event) -> None:
        """Queue an event, or drop it if it is a copy of an earlier one."""
        fingerprint = event.fingerprint
        known = self._delivered.get(fingerprint)
        # Copies are dropped from now on. The checkpoint stores the fingerprint once the event is delivered.
        self._delivered[fingerprint] = max(known or event.written_at, event.written_at)
        if known is None:
            self._queue.append(event)
        elif (
            known < event.written_at
            and self._checkpoint is not None
            and all(queued.fingerprint != fingerprint for queued in self._queue)
        ):
            # The fingerprint must be kept until the overlap has passed its latest copy.
            await self._checkpoint.deliver(fingerprint, event.written_at)

    async def _confirm_delivery(self) -> None:
        """Store that the current event was delivered, and advance the position after the last event of a page."""
        event, self._current = self._current, None
        if event is None:
            return
        if self._checkpoint is not None:
            fingerprint = event.fingerprint
            await self._checkpoint.deliver(fingerprint, self._delivered.get(fingerprint, event.written_at))
        if not self._queue:
            await self._advance(self._page_end)

    async def _advance(self, until: datetime | None) -> None:
        """Move the position forward. Events are read in the order in which they were written, so each page can do that."""
        self._page_end = None
        if self._until is None or until is None or until <= self._until:
            return
        self._until = until
        self._floor = max(self._floor, until - self._overlap)
        self._delivered = {key: at for key, at in self._delivered.items() if at >= self._floor}
        if self._checkpoint is not None:
            await self._checkpoint.advance(until, self._floor)

    async def _pause(self) -> None:
        if not self._wait:
            self._ended = True
            return
        import anyio

        await anyio.sleep(self._interval)

    def _check_age(self, until: datetime, now: datetime) -> datetime:
        """Warn before events expire, and raise if some have.

        Returns:
            The position to read from.

        Raises:
            EventsExpiredError: Events after the position have expired, and `skip_expired` is false.
        """
        age = now - until
        if age > RETENTION:
            gone = now - RETENTION
            if not self._skip_expired:
                raise EventsExpiredError(until, gone)
            logger.warning(
                "events between %s and %s are lost: the service keeps events for 9 days", until, gone
            )
            self._until = until = gone
        elif age > WARNING_AGE and (self._warned_at is None or now - self._warned_at > _WARNING_INTERVAL):
            self._warned_at = now
            logger.warning(
                "the change feed was read up to %s: the service drops the events after that in %s. Read the feed more "
                "often, or read fewer event types.",
                until,
                RETENTION - age,
            )
        return until


def check_arguments(since: object, interval: object, overlap: object) -> None:
    """Check the arguments of `follow`.

    Raises:
        UsageError: An argument is invalid.
    """
    if isinstance(since, datetime) and since.tzinfo is None:
        msg = f"follow(since={since!r}) has no time zone: give one, such as since.replace(tzinfo=UTC)"
        raise UsageError(msg)
    if not (since is None or isinstance(since, (datetime, timedelta))):
        msg = f"follow(since={since!r}): give a datetime with a time zone, or a timedelta before now"
        raise UsageError(msg)
    if isinstance(since, timedelta) and since < timedelta():
        msg = f"follow(since={since!r}) is in the future: give a timedelta of at least 0"
        raise UsageError(msg)
    seconds("follow: interval", interval, above_zero=True)
    if not isinstance(overlap, timedelta) or overlap < timedelta():
        raise UsageError(f"follow(overlap={overlap!r}): give a timedelta of at least 0")
