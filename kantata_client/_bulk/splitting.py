"""Refused chunks: which items were at fault, and which of the others may be sent again.

A refusal proves that a single item was not written. Of a chunk it proves that only if the service undoes what it refuses
(`atomic`). Items of a refused chunk are therefore sent again only if that is so, if sending one twice does no harm
(`harmless`), or if a look shows that they are not there (`recheck`). Otherwise the items that the refusal names have failed,
and what happened to the others is unknown.

The names in a refusal are only a hint where items may be sent again: those named are then sent alone, so that a good item is
written even if the hint was wrong.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from kantata_client._bulk.outcomes import Outcome
from kantata_client._http.retry import may_be_done
from kantata_client.errors import (
    APIError,
    KantataConnectionError,
    KantataError,
    MalformedResponseError,
    UnknownOutcomeError,
)

if TYPE_CHECKING:
    from kantata_client._bulk.outcomes import Item, Status

T = TypeVar("T")

Write: TypeAlias = Callable[[list["Item"]], Awaitable[Sequence[T]]]
"""Sends one request for some items and returns their results, in order. Raises `KantataError`."""

Recheck: TypeAlias = Callable[[list["Item"], KantataError], Awaitable[Sequence[Outcome[T]]]]
"""Looks which items of a refused chunk have an outcome nevertheless; the others may be sent again."""

_DIVISIBLE = frozenset({400, 403, 404, 409, 413, 422})
"""Refusals that can be about a single item. 401 and 429 never are."""

_UNREAD = frozenset({413})
"""Refusals of a body for its size, before anything in it is looked at."""

_WHOLE = frozenset({403, 404})
"""If one chunk was split and all its items got one of these, further refusals of that kind are about the whole run."""

_NAMED = (
    re.compile(r"\[(\d+)\]"),  # stories[3].title
    re.compile(r"(?:^|[./])(\d+)(?:[./]|$)"),  # stories.3.title, /stories/3/title
    re.compile(
        r"\b(?:item|index|row|entry|object|record)\W{1,3}(\d+)", re.IGNORECASE
    ),  # Item 3: can't be blank.
)
_IN_FIELD = re.compile(r"\[(\d+)\]|(?:^|[./])(\d+)(?:[./]|$)")
_AT_FIRST = re.compile(r"\W*(?:item|index|row|entry|object|record)\W{1,3}(\d+)\s*:()", re.IGNORECASE)
_NUMBERS = re.compile(r"\d+")


def pointed_at(error: KantataError, part: Sequence[Item], *, by_id: bool) -> list[int]:
    """The positions in a refused chunk that its errors seem to name, from 0.

    Args:
        error: The refusal.
        part: What was sent.
        by_id: The items are ids, which the messages may name. Otherwise they may name positions.
    """
    if not isinstance(error, APIError):
        return []
    texts = [text for detail in error.errors for text in (detail.field or "", detail.message)]
    if by_id:
        named = {number for text in texts for number in _NUMBERS.findall(text)}
        return [place for place, item in enumerate(part) if str(item.ready) in named]
    found: set[int] = set()
    for text in texts:
        found.update(int(match) for pattern in _NAMED for match in pattern.findall(text[:200]))
    return sorted(place for place in found if place < len(part))


def blamed(error: KantataError, part: Sequence[Item], *, by_id: bool) -> list[int]:
    """The positions in a chunk that its refusal names for certain: each of its errors names one, counted from 0.

    The arguments are those of `pointed_at`.
    """
    if not isinstance(error, APIError):
        return []
    found: set[int] = set()
    for detail in error.errors:
        if by_id:
            ids = set(_NUMBERS.findall(f"{detail.field or ''} {detail.message}"))
            places = [place for place, item in enumerate(part) if str(item.ready) in ids]
        else:
            named = _IN_FIELD.search(detail.field or "") or _AT_FIRST.match(detail.message)
            places = [] if named is None else [int(named[1] or named[2])]
        if len(places) != 1 or places[0] >= len(part):
            return []  # it means something else, or counts from 1
        found.add(places[0])
    return sorted(found)


class Splitter(Generic[T]):
    """Writes chunks, and deals with those that are refused."""

    def __init__(
        self,
        write: Write[T],
        *,
        by_id: bool = False,
        repeatable: bool = False,
        atomic: bool = False,
        harmless: bool = False,
        recheck: Recheck[T] | None = None,
    ) -> None:
        """Make a splitter.

        Args:
            write: Sends a chunk.
            by_id: Refusals may name the items' ids.
            repeatable: The transport may have sent a request more than once (PUT, DELETE).
            atomic: The service writes all of a chunk or nothing.
            harmless: Writing an item twice is the same as writing it once.
            recheck: Looks what was written of a refused chunk.
        """
        self._write = write
        self._by_id = by_id
        self._repeatable = repeatable
        self._atomic = atomic
        self._may_resend = atomic or harmless or recheck is not None
        self._recheck = recheck
        self._indivisible: set[int] = set()

    async def settle(self, chunk: list[Item]) -> list[Outcome[T]]:
        """The outcome of each item of a chunk, in order."""
        outcomes: list[Outcome[T]] = []
        await self._settle(chunk, outcomes, trusting=True)
        outcomes.sort(key=lambda outcome: outcome.index)
        statuses = {_refused_with(outcome.error) for outcome in outcomes}
        proved = self._atomic or self._recheck is not None
        if proved and len(outcomes) > 1 and statuses <= _WHOLE:
            self._indivisible.update(status for status in statuses if status is not None)
        return outcomes

    async def _settle(self, part: list[Item], outcomes: list[Outcome[T]], *, trusting: bool) -> None:
        while part:
            refusal = await self._once(part, outcomes)
            if refusal is None:
                return
            if self._recheck is not None:
                known = await self._recheck(part, refusal)
                outcomes += known
                settled = {outcome.index for outcome in known}
                if settled:
                    part = [item for item in part if item.index not in settled]
                    continue
                if len(part) == 1:
                    outcomes += _all(part, "failed", refusal)
                    return
            elif not self._may_resend and _refused_with(refusal) not in _UNREAD:
                outcomes += self._named(part, refusal)
                return
            if _refused_with(refusal) in self._indivisible:
                part = await self._between(part, refusal, outcomes)
                continue
            places = pointed_at(refusal, part, by_id=self._by_id) if trusting else []
            if not places:
                middle = len(part) // 2
                await self._settle(part[:middle], outcomes, trusting=trusting)
                part = part[middle:]
                continue
            for place in places:
                before = len(outcomes)
                await self._settle([part[place]], outcomes, trusting=False)
                trusting = trusting and all(outcome.status != "done" for outcome in outcomes[before:])
            part = [item for place, item in enumerate(part) if place not in set(places)]

    def _named(self, part: list[Item], refusal: KantataError) -> list[Outcome[Any]]:
        """The outcomes of a chunk that can't be sent again: the items that the refusal names failed."""
        places = set(blamed(refusal, part, by_id=self._by_id))
        named = [item for place, item in enumerate(part) if place in places]
        others = [item for place, item in enumerate(part) if place not in places]
        return [
            *_all(named, "failed", refusal),
            *_all(others, "unknown", _left_open(part, len(named), refusal)),
        ]

    async def _between(
        self, part: list[Item], refusal: KantataError, outcomes: list[Outcome[T]]
    ) -> list[Item]:
        """Send the two ends of a part that seems to be bad as a whole; returns what is still to be sent of it.

        Where a group of bad items begins or ends within the part, one of the ends is written.
        """
        tried: list[Outcome[T]] = []
        for item in (part[0], part[-1]):
            await self._settle([item], tried, trusting=False)
        outcomes.extend(tried)
        if any(outcome.status == "done" for outcome in tried):
            self._indivisible.clear()
            return part[1:-1]
        outcomes.extend(_all(part[1:-1], "failed", refusal))
        return []

    async def _once(self, part: list[Item], outcomes: list[Outcome[T]]) -> KantataError | None:
        """Send a part; returns its refusal if that has to be dealt with."""
        try:
            results = await self._write(part)
        except KantataError as error:
            status = certainty(error, repeatable=self._repeatable)
            if isinstance(error, APIError) and error.status in _DIVISIBLE:
                if error.answer_was_lost:
                    if self._recheck is not None:
                        return error
                elif len(part) > 1:
                    return error
            outcomes += _all(part, status, error)
        else:
            outcomes += [
                Outcome(item.index, item.given, "done", result)
                for item, result in zip(part, results, strict=True)
            ]
        return None


def certainty(error: KantataError, *, repeatable: bool) -> Status:
    """`failed` if an error of a write proves that nothing was written, otherwise `unknown`.

    Args:
        error: What the request raised.
        repeatable: The transport may have sent it more than once (PUT, DELETE), so one attempt may have been carried out
            before another one was refused.
    """
    if error.answer_was_lost or isinstance(error, (UnknownOutcomeError, MalformedResponseError)):
        return "unknown"
    if repeatable and isinstance(error, KantataConnectionError) and not error.unsent:
        return "unknown"
    if repeatable and isinstance(error, APIError) and may_be_done(error.status):
        return "unknown"
    return "failed"


def _left_open(part: Sequence[Item], named: int, refusal: KantataError) -> KantataError:
    """The error of items whose chunk was refused, though not because of them."""
    assert isinstance(refusal, APIError)  # noqa: S101 - nothing else is dealt with here
    because = f"because of {named} others" if named else "without naming the items at fault"
    error = UnknownOutcomeError(
        f"{refusal.method} {refusal.path} was refused with {refusal.status} {because}, and the service does not promise "
        f"that it writes none of the {len(part)} items then. This item may have been written, so it was not sent again. "
        "Look it up first; with an ExternalReferenceKey the client does that itself. If you know that this service undoes "
        "refused requests, pass atomic=True.",
        method=refusal.method,
        path=refusal.path,
        sent=None,
        status=refusal.status,
        request_id=refusal.request_id,
    )
    error.__cause__ = refusal
    return error


def _all(part: Sequence[Item], status: Status, error: KantataError) -> list[Outcome[Any]]:
    return [Outcome(item.index, item.given, status, error=error) for item in part]


def _refused_with(error: Exception | None) -> int | None:
    return error.status if isinstance(error, APIError) else None
