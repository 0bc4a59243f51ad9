"""Creating each object once, however often it is asked for, with an external reference as the key.

The API has no idempotency key. But an object that is created with an external reference can be found by it: look first,
create what is missing, and if a creation lost its answer, look again before creating the rest.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from kantata_client._bulk.lookup import ContradictionError, Lookup
from kantata_client._bulk.outcomes import Item, Outcome
from kantata_client._bulk.splitting import Splitter
from kantata_client._objects.model import Model
from kantata_client.errors import KantataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from kantata_client._bulk.reference_key import ExternalReferenceKey
    from kantata_client._bulk.splitting import Write
    from kantata_client._calls.session import Session
    from kantata_client._contract import Operation

logger = logging.getLogger("kantata_client")

M = TypeVar("M", bound=Model)

LOOKS = 5
"""How often an unknown outcome is looked up while `patience` lasts; each pause is twice as long as the one before."""


class ExactlyOnce(Generic[M]):
    """Creates what is missing of chunks whose items have their reference as `Item.key`."""

    def __init__(
        self,
        session: Session,
        operation: Operation,
        cls: type[M],
        key: ExternalReferenceKey,
        write: Write[M],
        unit: int,
    ) -> None:
        """`operation` is the creation, and `write` carries it out for up to `unit` items."""
        from kantata_client.operations import OPERATIONS

        self.stopped: KantataError | None = None
        """Why nothing more can be created."""
        self._lookup = Lookup(session, OPERATIONS[f"GET {operation.path}"], cls, key)
        self._key = key
        self._unit = unit
        self._splitter = Splitter(write, recheck=self._after_refusal)

    async def settle(self, chunk: list[Item]) -> list[Outcome[M]]:
        """The outcome of each item of a chunk, in order."""
        try:
            there = await self._find(chunk)
        except KantataError as error:
            return [Outcome(item.index, item.given, "failed", error=error) for item in chunk]
        outcomes = [_done(item, there, found=True) for item in chunk if item.key in there]
        missing = [item for item in chunk if item.key not in there]
        for attempt in range(1, self._key.attempts + 1):
            if not missing:
                break
            created = await self._create(missing)
            unsure = [item for item in missing if created[item.index].status == "unknown"]
            there, looked = await self._look(unsure)
            created |= {item.index: _done(item, there, found=False) for item in unsure if item.key in there}
            # Created again only if the last look succeeded and did not find it.
            again = looked and self.stopped is None and attempt < self._key.attempts
            missing = [item for item in unsure if again and item.key not in there]
            outcomes += [created[index] for index in created.keys() - {item.index for item in missing}]
        outcomes.sort(key=lambda outcome: outcome.index)
        return outcomes

    async def _create(self, items: list[Item]) -> dict[int, Outcome[M]]:
        outcomes: dict[int, Outcome[M]] = {}
        for start in range(0, len(items), self._unit):
            part = items[start : start + self._unit]
            if self.stopped is not None:
                settled = [Outcome[M](item.index, item.given, "failed", error=self.stopped) for item in part]
            else:
                settled = await self._splitter.settle(part)
            outcomes |= {outcome.index: outcome for outcome in settled}
        return outcomes

    async def _look(self, items: list[Item]) -> tuple[dict[str, M], bool]:
        """Look several times for objects that should appear; returns those found, and whether the last look succeeded."""
        import anyio

        found: dict[str, M] = {}
        looked = False
        wait = self._key.patience / (2**LOOKS - 1)
        for look in range(LOOKS + 1):
            if look:
                await anyio.sleep(wait)
                wait *= 2
            try:
                found |= await self._find([item for item in items if item.key not in found])
                looked = True
            except KantataError as error:
                logger.warning("A search by external reference failed: %s", error)
                looked = False
                if self.stopped is not None:
                    break
            if looked and all(item.key in found for item in items):
                break
        return found, looked

    async def _after_refusal(self, part: list[Item], refusal: KantataError) -> list[Outcome[M]]:
        """What exists of a refused part: the service does not promise that it creates all or nothing."""
        try:
            there = await self._find(part)
        except KantataError as error:
            error.__cause__ = refusal
            return [Outcome(item.index, item.given, "unknown", error=error) for item in part]
        return [_done(item, there, found=False) for item in part if item.key in there]

    async def _find(self, items: Sequence[Item]) -> dict[str, M]:
        try:
            return await self._lookup.find([cast("str", item.key) for item in items])
        except ContradictionError as error:
            self.stopped = error
            raise

    def assigned(self, part: list[Item], created: Sequence[M]) -> Sequence[M] | None:
        """The created objects in the order of their items, by their references; `None` if they came without references.

        Raises:
            ContradictionError: An object has none of the references that were sent.
        """
        refs = [self._lookup.refs_of(each) for each in created]
        if any(found is None for found in refs):
            return None
        by_ref = {ref: each for each, found in zip(created, refs, strict=True) for ref in found or ()}
        if any(item.key not in by_ref for item in part):
            self.stopped = self._lookup.contradiction(
                "the objects were created, but came back with other external references than they were sent with"
            )
            raise self.stopped
        return [by_ref[cast("str", item.key)] for item in part]


def _done(item: Item, there: Mapping[str, M], *, found: bool) -> Outcome[M]:
    return Outcome(item.index, item.given, "done", there[cast("str", item.key)], found=found)
