"""What a bulk write reports: an outcome for each item, all of them together, and the error for those not written."""

from __future__ import annotations

from typing import Any, Generic, Literal, TypeAlias, TypeVar, cast

import attrs

from kantata_client.errors import KantataError

T = TypeVar("T")

Status: TypeAlias = Literal["done", "failed", "unknown"]


@attrs.frozen(eq=False)
class Item:
    """A checked item of the input."""

    index: int
    given: Any
    ready: Any
    """The form in which it is sent."""
    key: str | None = None
    """Its external reference, which must be unique in the input."""
    identity: tuple[str | None, ...] | None = None
    """What identifies the object that it is written into, if that must be unique in the input as well."""
    alone: bool = False
    """Whether it needs a request of its own."""


@attrs.frozen
class Outcome(Generic[T]):
    """What happened to one item."""

    index: int
    """Position in the input, from 0."""
    item: Any
    """The item as it was given."""
    status: Status
    """`failed`: certainly not written. `unknown`: it was sent, and nothing proves whether it was written."""
    result: T | None = None
    """The object, if the item is `done`; `None` after a deletion."""
    error: Exception | None = None
    """Why it is not `done`."""
    found: bool = False
    """Whether an object with its external reference existed already, so that nothing was created."""


class BulkResult(Generic[T]):
    """What happened to all items."""

    def __init__(self, outcomes: list[Outcome[T]]) -> None:
        self.outcomes = outcomes
        """One for each item, in input order."""

    @property
    def results(self) -> list[T]:
        """The objects of all `done` items, in input order."""
        return [cast("T", outcome.result) for outcome in self.done]

    @property
    def created(self) -> list[T]:
        """The objects that this run wrote, in input order."""
        return [cast("T", outcome.result) for outcome in self.done if not outcome.found]

    @property
    def found(self) -> list[T]:
        """The objects that existed already, in input order."""
        return [cast("T", outcome.result) for outcome in self.done if outcome.found]

    @property
    def done(self) -> list[Outcome[T]]:
        """The items that were written or existed already."""
        return [outcome for outcome in self.outcomes if outcome.status == "done"]

    @property
    def failed(self) -> list[Outcome[T]]:
        """The items that were certainly not written."""
        return [outcome for outcome in self.outcomes if outcome.status == "failed"]

    @property
    def unknown(self) -> list[Outcome[T]]:
        """The items that may or may not have been written."""
        return [outcome for outcome in self.outcomes if outcome.status == "unknown"]

    def raise_for_failures(self) -> None:
        """Raise `BulkError` if any item failed or is unknown."""
        failed, unknown = self.failed, self.unknown
        if missing := [*failed, *unknown]:
            first = min(missing, key=lambda outcome: outcome.index)
            why = str(first.error).removeprefix(f"Item {first.index} of the input, ")
            msg = (
                f"{len(failed)} of {len(self.outcomes)} items failed, {len(unknown)} are unknown; "
                f"the first is item {first.index}: {why}"
            )
            raise BulkError(msg, result=self) from first.error

    def __repr__(self) -> str:
        found = f"{len(self.found)} of them found, " if self.found else ""
        done, failed, unknown = len(self.done), len(self.failed), len(self.unknown)
        return f"<BulkResult: {done} done, {found}{failed} failed, {unknown} unknown>"


class BulkError(KantataError):
    """Some items of a bulk write failed or are unknown; raised by `BulkResult.raise_for_failures`."""

    def __init__(self, message: str, *, result: BulkResult[Any]) -> None:
        super().__init__(message)
        self.result = result
        """What happened to every item."""
