"""Finding the items for which a chunk was refused: by what the refusal tells, and by sending less at once.

A chunk is refused as a whole, so its parts are sent again, but only after a certain refusal; whatever may have been
carried out is not. What a refusal tells is a hint alone, since its wording is the service's: the items it points at are
sent by themselves, so that a good one is written even if the hint was wrong.
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
"""One request for some items: their results, in order. Raises `KantataError`."""

Recheck: TypeAlias = Callable[[list["Item"], KantataError], Awaitable[Sequence[Outcome[T]]]]
"""What became of items nevertheless, asked after they were refused and before any of them is sent again."""

_DIVISIBLE = frozenset({400, 403, 404, 409, 413, 422})
"""Refusals that can be about a single item. 401 and 429 never are."""

_WHOLE = frozenset({403, 404})
"""Refusals of these, after one chunk was split and every item of it got one, are about all items of the run."""

_PLACES = (
    re.compile(r"\[(\d+)\]"),  # stories[3].title
    re.compile(r"(?:^|[./])(\d+)(?:[./]|$)"),  # stories.3.title, /stories/3/title
    re.compile(
        r"\b(?:item|index|row|entry|object|record)\W{1,3}(\d+)", re.IGNORECASE
    ),  # Item 3: can't be blank.
)
_NUMBERS = re.compile(r"\d+")


def pointed_at(error: KantataError, part: Sequence[Item], *, by_id: bool) -> list[int]:
    """The places in a refused part that the errors seem to be about, from 0.

    Args:
        error: The refusal.
        part: What was sent.
        by_id: The items are ids: the messages may name these. Otherwise they may tell indexes.
    """
    if not isinstance(error, APIError):
        return []
    texts = [text for detail in error.errors for text in (detail.field or "", detail.message)]
    if by_id:
        named = {number for text in texts for number in _NUMBERS.findall(text)}
        return [place for place, item in enumerate(part) if str(item.ready) in named]
    found: set[int] = set()
    for text in texts:
        found.update(int(match) for pattern in _PLACES for match in pattern.findall(text[:200]))
    return sorted(place for place in found if place < len(part))


class Splitter(Generic[T]):
    """Writes chunks and splits those that are refused."""

    def __init__(
        self,
        write: Write[T],
        *,
        by_id: bool = False,
        repeatable: bool = False,
        recheck: Recheck[T] | None = None,
    ) -> None:
        """`repeatable`: the transport may have sent a request more than once (PUT, DELETE)."""
        self._write = write
        self._by_id = by_id
        self._repeatable = repeatable
        self._recheck = recheck
        self._indivisible: set[int] = set()

    async def settle(self, chunk: list[Item]) -> list[Outcome[T]]:
        """What became of each item of a chunk, in order."""
        told: list[Outcome[T]] = []
        await self._settle(chunk, told, trusting=True)
        told.sort(key=lambda outcome: outcome.index)
        if len(told) > 1 and (statuses := {_refused_with(outcome.error) for outcome in told}) <= _WHOLE:
            self._indivisible.update(status for status in statuses if status is not None)
        return told

    async def _settle(self, part: list[Item], told: list[Outcome[T]], *, trusting: bool) -> None:
        while part:
            refusal = await self._once(part, told)
            if refusal is None:
                return
            if self._recheck is not None:
                known = await self._recheck(part, refusal)
                told += known
                settled = {outcome.index for outcome in known}
                if settled:
                    part = [item for item in part if item.index not in settled]
                    continue
                if len(part) == 1:
                    told += _all(part, "failed", refusal)
                    return
            if _refused_with(refusal) in self._indivisible:
                part = await self._between(part, refusal, told)
                continue
            places = pointed_at(refusal, part, by_id=self._by_id) if trusting else []
            if not places:
                middle = len(part) // 2
                await self._settle(part[:middle], told, trusting=trusting)
                part = part[middle:]
                continue
            for place in places:
                before = len(told)
                await self._settle([part[place]], told, trusting=False)
                trusting = trusting and all(outcome.status != "done" for outcome in told[before:])
            part = [item for place, item in enumerate(part) if place not in set(places)]

    async def _between(self, part: list[Item], refusal: KantataError, told: list[Outcome[T]]) -> list[Item]:
        """Send the two ends of a part that seems to be bad as a whole; what is still to be sent of it.

        Where a group of bad items begins or ends within the part, one of the ends is written.
        """
        tried: list[Outcome[T]] = []
        for item in (part[0], part[-1]):
            await self._settle([item], tried, trusting=False)
        told.extend(tried)
        if any(outcome.status == "done" for outcome in tried):
            self._indivisible.clear()
            return part[1:-1]
        told.extend(_all(part[1:-1], "failed", refusal))
        return []

    async def _once(self, part: list[Item], told: list[Outcome[T]]) -> KantataError | None:
        """Send a part; its refusal, if it has to be split."""
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
            told += _all(part, status, error)
        else:
            told += [
                Outcome(item.index, item.given, "done", result)
                for item, result in zip(part, results, strict=True)
            ]
        return None


def certainty(error: KantataError, *, repeatable: bool) -> Status:
    """`failed` if an error of a write proves that nothing was written, else `unknown`.

    Args:
        error: What the request raised.
        repeatable: The transport may have sent it more than once (PUT, DELETE), so that one attempt may have been
            carried out before another one was refused.
    """
    if error.answer_was_lost or isinstance(error, (UnknownOutcomeError, MalformedResponseError)):
        return "unknown"
    if repeatable and isinstance(error, KantataConnectionError) and not error.unsent:
        return "unknown"
    if repeatable and isinstance(error, APIError) and may_be_done(error.status):
        return "unknown"
    return "failed"


def _all(part: Sequence[Item], status: Status, error: KantataError) -> list[Outcome[Any]]:
    return [Outcome(item.index, item.given, status, error=error) for item in part]


def _refused_with(error: Exception | None) -> int | None:
    return error.status if isinstance(error, APIError) else None
