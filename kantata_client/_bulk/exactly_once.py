"""Creating each object once, however often it is asked for: by an external reference that is its key.

The API has no idempotency key. But what is created with an external reference can be found by it: so look first, create
what is missing, and when a creation lost its answer, look again before creating the rest.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast
from urllib.parse import quote

from kantata_client._bulk.outcomes import Item, Outcome
from kantata_client._bulk.splitting import Splitter
from kantata_client._objects.model import Model
from kantata_client.errors import KantataError, MalformedResponseError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kantata_client._bulk.splitting import Write
    from kantata_client._calls.session import Session
    from kantata_client._contract import Operation

logger = logging.getLogger("kantata_client")

M = TypeVar("M", bound=Model)

MOST_REFS = 200
"""References in one look-up, as the API documents."""

LONGEST_REFS = 6_000
"""Characters of references in one look-up: they are a part of the address, which servers bound (mostly to 8 KB)."""

LOOKS = 5
"""How often an unknown outcome is looked for while `patience` lasts, each wait twice as long as the one before."""


@dataclass(frozen=True, slots=True)
class ExternalReferenceKey:
    """What makes each item of `create_many` one object, however often the input is sent.

    With a key, `create_many` looks for every item before it creates it, and gives back what is there already
    (`Outcome.found`). A rerun after a crash creates what is missing and nothing else.

    Two limits remain, since the service checks nothing: programs that create the same references at the same time can both
    create them; and what a broken request does later than `patience` seconds afterwards, or what a crashed program sent
    moments before its rerun, is not seen in time. Run one at a time, and wait some minutes before a rerun.
    """

    service_name: str
    """The other system, such as `erp`: a name for all references that come from it."""
    service_model: str
    """What the object is called there, such as `invoice_line`."""
    ref: str | Callable[[Any], object]
    """The object's id there: the name of the item's field that has it (which is not sent, unless the API has a field of
    that name), or a function that is given the item. Without a comma, since look-ups separate references by it."""
    patience: float = 30.0
    """Seconds in which to look for objects whose creation lost its answer before they are created again. Without a sign of
    them, at most 180 are of use: that is how long the service works on a request."""
    attempts: int = 4
    """How often to create what lost its answer and does not show; afterwards the outcome is `unknown`."""

    def check(self) -> None:
        """Raise `UsageError` if a part makes no sense."""
        for name in ("service_name", "service_model", "ref"):
            value: object = getattr(self, name)
            if not (isinstance(value, str) and value.strip()) and not (name == "ref" and callable(value)):
                raise UsageError(f"ExternalReferenceKey: {name} is {value!r}, which is no name.")
        patience: Any = self.patience
        if (
            isinstance(patience, bool)
            or not isinstance(patience, (int, float))
            or not 0 <= patience < math.inf
        ):
            raise UsageError(
                f"ExternalReferenceKey: patience is {patience!r}; a number of seconds is needed."
            )
        attempts: Any = self.attempts
        if isinstance(attempts, bool) or not isinstance(attempts, int) or attempts < 1:
            raise UsageError(f"ExternalReferenceKey: attempts is {attempts!r}; a number from 1 on is needed.")


def keyed(key: ExternalReferenceKey, fields: Mapping[str, Any], item: object, where: str) -> tuple[str, Any]:
    """The reference of an item, and the item with it.

    Args:
        key: Where the reference is.
        fields: What the creation takes.
        item: A mapping, or a model; anything else is given back for others to refuse.
        where: Place of the item, such as `stories.create_many: items[7]`, for errors.

    Raises:
        UsageError: There is no usable reference, or the item has another one.
    """
    if isinstance(item, Model):
        given: dict[str, Any] = {name: value for name, value in item.to_dict().items() if name in fields}
        known: Mapping[str, Any] = item.to_dict()
    elif isinstance(item, Mapping):
        known = cast("Mapping[str, Any]", item)
        given = dict(known)
    else:
        return "", item
    if isinstance(key.ref, str):
        if key.ref not in known:
            raise UsageError(f"{where} has no {key.ref!r}, which the key takes as its external reference")
        value: object = known[key.ref]
        if key.ref not in fields:
            given.pop(key.ref, None)
    else:
        value = key.ref(item)
    ref = str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    if not ref or ref != ref.strip() or "," in ref or not ref.isprintable():
        raise UsageError(
            f"{where} has the external reference {value!r}; it is a number or a text without commas, "
            "and without blanks around it",
        )
    reference = {
        "service_name": key.service_name,
        "service_model": key.service_model,
        "service_model_ref": ref,
    }
    own: Any = given.get("external_reference")
    if isinstance(own, Mapping):
        own = cast("Mapping[str, Any]", own)
        for name, wanted in reference.items():
            if name in own and str(own[name]) != wanted:
                raise UsageError(
                    f"{where} has an external_reference whose {name} is {own[name]!r}, not {wanted!r}"
                )
        reference = {**own, **reference}
    given["external_reference"] = reference
    return ref, given


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
        """`operation` is the creation, `write` performs it for up to `unit` items."""
        from kantata_client.operations import OPERATIONS

        self._session = session
        self._list = OPERATIONS[f"GET {operation.path}"]
        self._cls = cls
        self._key = key
        self._unit = unit
        self._splitter = Splitter(write, recheck=self._after_refusal)

    async def settle(self, chunk: list[Item]) -> list[Outcome[M]]:
        """What became of each item of a chunk, in order."""
        try:
            there = await self._find(chunk)
        except KantataError as error:
            return [Outcome(item.index, item.given, "failed", error=error) for item in chunk]
        told = [_done(item, there, found=True) for item in chunk if item.key in there]
        missing = [item for item in chunk if item.key not in there]
        for attempt in range(1, self._key.attempts + 1):
            if not missing:
                break
            outcomes = await self._create(missing)
            unsure = [item for item in missing if outcomes[item.index].status == "unknown"]
            there, looked = await self._look(unsure)
            outcomes |= {item.index: _done(item, there, found=False) for item in unsure if item.key in there}
            # Created again only if the last look was possible, and did not show it.
            again = looked and attempt < self._key.attempts
            missing = [item for item in unsure if again and item.key not in there]
            told += [outcomes[index] for index in outcomes.keys() - {item.index for item in missing}]
        told.sort(key=lambda outcome: outcome.index)
        return told

    async def _create(self, items: list[Item]) -> dict[int, Outcome[M]]:
        outcomes: dict[int, Outcome[M]] = {}
        for start in range(0, len(items), self._unit):
            told = await self._splitter.settle(items[start : start + self._unit])
            outcomes |= {outcome.index: outcome for outcome in told}
        return outcomes

    async def _look(self, items: list[Item]) -> tuple[dict[str, M], bool]:
        """Look several times for what should be there; what showed, and whether the last look succeeded."""
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
                logger.warning("%s: a look-up by external reference failed: %s", self._list.id, error)
                looked = False
            if looked and all(item.key in found for item in items):
                break
        return found, looked

    async def _after_refusal(self, part: list[Item], refusal: KantataError) -> list[Outcome[M]]:
        """What is there of a refused part: the service does not promise that it creates all or nothing."""
        try:
            there = await self._find(part)
        except KantataError:
            return [Outcome(item.index, item.given, "failed", error=refusal) for item in part]
        return [_done(item, there, found=False) for item in part if item.key in there]

    async def _find(self, items: Sequence[Item]) -> dict[str, M]:
        """The objects that have the items' references, by reference."""
        from kantata_client._lists.paginator import Paginator

        found: dict[str, M] = {}
        for refs in _portions([cast("str", item.key) for item in items]):
            query = {
                **self._list.widest,
                "external_reference_service_name": self._key.service_name,
                "external_reference_service_model": self._key.service_model,
                "external_reference_service_model_refs": refs,
                "include": ["external_references"],
            }
            async for each in Paginator(self._session, self._list, self._cls, (), query):
                for ref in self._refs_of(each):
                    if ref in found:
                        logger.warning(
                            "%s: several objects have the external reference %s %s %s",
                            self._list.id, self._key.service_name, self._key.service_model, ref,
                        )  # fmt: skip
                    found.setdefault(ref, each)
        return found

    def _refs_of(self, model: M) -> list[str]:
        """The references of an object that are of the key's kind."""
        references: list[Model] = getattr(model, "external_references")  # noqa: B009 - not every model has it
        if not references:
            msg = (
                f"{self._list.id} answered with {model!r}, but without its external references, so it is unsure which "
                "item it is. Does the token's user see external references?"
            )
            raise MalformedResponseError(msg, method="GET", path=self._list.path)
        wanted = (self._key.service_name, self._key.service_model)
        return [
            str(fields.get("service_model_ref"))
            for fields in (reference.to_dict() for reference in references)
            if (fields.get("service_name"), fields.get("service_model")) == wanted
        ]


def _done(item: Item, there: Mapping[str, M], *, found: bool) -> Outcome[M]:
    return Outcome(item.index, item.given, "done", there[cast("str", item.key)], found=found)


def _portions(refs: list[str]) -> Iterator[list[str]]:
    portion: list[str] = []
    length = 0
    for ref in refs:
        size = len(quote(ref)) + 1
        if portion and (len(portion) == MOST_REFS or length + size > LONGEST_REFS):
            yield portion
            portion, length = [], 0
        portion.append(ref)
        length += size
    if portion:
        yield portion
