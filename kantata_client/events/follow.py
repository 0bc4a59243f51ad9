"""Following the change feed: each event once, across restarts, late and repeated events included.

The service keeps events for 9 days, writes some of them twice, out of order, and minutes after the change. So each poll
asks again for what was written in the last hour (`overlap`), and what was delivered already is dropped by its fingerprint.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast

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

KEPT = timedelta(days=9)
"""How long the service keeps events."""
WARNED = timedelta(days=7)
"""Age of a position from which a warning is logged."""
_WARNING_INTERVAL = timedelta(hours=6)
_GRAIN = timedelta(seconds=1)
"""Whether `created_after` includes its moment is not documented."""
_CLOCK_SKEW = timedelta(minutes=10)
"""How far this machine's clock may be ahead of the service's."""


class Follow:
    """The events of an account, in an async loop; made by `kantata.subscribed_events.follow`.

    An event counts as delivered when the loop asks for the next one, or leaves the `async with` block without an exception.
    """

    def __init__(
        self,
        ask: Callable[[datetime], Paginator[SubscribedEvent]],
        *,
        since: datetime | timedelta | None,
        checkpoint: Checkpoint | None,
        interval: float,
        overlap: timedelta,
        wait: bool,
        skip_expired: bool,
        now: Callable[[], datetime],
    ) -> None:
        self._ask = ask
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
        self._handed_out: Event | None = None
        self._warned: datetime | None = None
        self._over = False

    def __repr__(self) -> str:
        return f"<Follow: all events until {self._until}>"

    @property
    def until(self) -> datetime | None:
        """All events written up to here were delivered; `None` before the first one was asked for."""
        return self._until

    @property
    def expires_in(self) -> timedelta | None:
        """Time left before the service drops events that were not delivered yet."""
        return None if self._until is None else self._until + KEPT - self._now()

    def __aiter__(self) -> AsyncIterator[Event]:
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._handed_out = None  # it may not have been handled: it is delivered again by the next run
        await self.aclose()

    async def aclose(self) -> None:
        """Mark the last event as delivered, and close the checkpoint."""
        self._over = True
        await self._settle()
        if self._checkpoint is not None:
            await self._checkpoint.aclose()

    async def __anext__(self) -> Event:
        await self._settle()
        while not self._over:
            if self._queue:
                self._handed_out = self._queue.pop()
                return self._handed_out
            if self._until is None:
                await self._begin()
            elif self._pages is None:
                self._started = self._now()
                until = self._check_age(self._until, self._started)
                self._pages = self._ask(max(until - self._overlap, self._floor) - _GRAIN).pages(concurrency=1)
            else:
                await self._turn_page()
        raise StopAsyncIteration

    async def _begin(self) -> None:
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

    async def _turn_page(self) -> None:
        """Queue what is new on the next page; at the end of the list, keep the position and wait."""
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
                await self._sort_out(event)
        self._queue.reverse()
        if not self._queue:
            await self._advance(self._page_end)

    async def _sort_out(self, event: Event) -> None:
        """Queue an event, or drop it as the copy of one that is known."""
        fingerprint = event.fingerprint
        known = self._delivered.get(fingerprint)
        # From here on copies are dropped; the checkpoint learns of it when the event was delivered.
        self._delivered[fingerprint] = max(known or event.written_at, event.written_at)
        if known is None:
            self._queue.append(event)
        elif (
            known < event.written_at
            and self._checkpoint is not None
            and all(queued.fingerprint != fingerprint for queued in self._queue)
        ):
            # The fingerprint has to be kept for as long as its latest copy is asked for.
            await self._checkpoint.deliver(fingerprint, event.written_at)

    async def _settle(self) -> None:
        """Keep that the last event was delivered, and with it perhaps its page."""
        event, self._handed_out = self._handed_out, None
        if event is None:
            return
        if self._checkpoint is not None:
            fingerprint = event.fingerprint
            await self._checkpoint.deliver(fingerprint, self._delivered.get(fingerprint, event.written_at))
        if not self._queue:
            await self._advance(self._page_end)

    async def _advance(self, until: datetime | None) -> None:
        """Events are read in the order in which they were written, so a page that was delivered moves the position."""
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
            self._over = True
            return
        import anyio

        await anyio.sleep(self._interval)

    def _check_age(self, until: datetime, now: datetime) -> datetime:
        """Warn before events are lost, and refuse to go on as if nothing had happened when some are.

        Raises:
            EventsExpiredError: Events behind the position are gone.
        """
        age = now - until
        if age > KEPT:
            gone = now - KEPT
            if not self._skip_expired:
                raise EventsExpiredError(until, gone)
            logger.warning(
                "events between %s and %s are lost: the service keeps them for 9 days", until, gone
            )
            self._until = until = gone
        elif age > WARNED and (self._warned is None or now - self._warned > _WARNING_INTERVAL):
            self._warned = now
            logger.warning(
                "the change feed was read up to %s: the service drops the events after that in %s. Read it more often, "
                "or with fewer event types.",
                until,
                KEPT - age,
            )
        return until


def checked(since: object, interval: float, overlap: timedelta) -> None:
    """Refuse arguments of `follow` that can't be right.

    Raises:
        UsageError: One of them is wrong.
    """
    if isinstance(since, datetime) and since.tzinfo is None:
        msg = f"follow(since={since!r}) has no time zone: give one, such as since.replace(tzinfo=UTC)"
        raise UsageError(msg)
    if not (since is None or isinstance(since, (datetime, timedelta))):
        msg = f"follow(since={since!r}): give a datetime with a time zone, or a timedelta before now"
        raise UsageError(msg)
    if isinstance(since, timedelta) and since < timedelta():
        msg = f"follow(since={since!r}) is in the future: give a timedelta that isn't negative"
        raise UsageError(msg)
    if interval <= 0 or overlap < timedelta():
        msg = f"follow(interval={interval!r}, overlap={overlap!r}): the interval must be above 0, the overlap at least 0"
        raise UsageError(msg)
