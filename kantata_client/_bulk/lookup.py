"""Looking up objects by external reference, so carefully that a missing object is proof that it does not exist.

What such a search finds decides what is created. So an object that nobody asked for is an error, too: the service may
compare references differently than this client does.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import quote

from kantata_client._bulk.searching import ContradictionError, contradiction, search
from kantata_client._objects.model import Model
from kantata_client.errors import NotIncludedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from kantata_client._bulk.reference_key import ExternalReferenceKey
    from kantata_client._calls.session import Session
    from kantata_client._contract import Operation

logger = logging.getLogger("kantata_client")

M = TypeVar("M", bound=Model)

MOST_REFS = 200
"""How many references one search accepts, as the API documents."""

LONGEST_REFS = 6_000
"""How many characters of references one search has: they are part of the URL, which servers limit (mostly to 8 KB)."""

_SO = "Nothing more is created, since that could make duplicates."
_SEARCH = "the answer to the search by external reference"


class Lookup(Generic[M]):
    """Finds the objects that have the references of a key."""

    def __init__(
        self, session: Session, operation: Operation, cls: type[M], key: ExternalReferenceKey
    ) -> None:
        """`operation` is the list in which `cls` objects are searched."""
        self._session = session
        self._operation = operation
        self._cls = cls
        self._key = key

    async def find(self, refs: Sequence[str]) -> dict[str, M]:
        """The objects that have these references, by reference.

        Raises:
            ContradictionError: The answer can't be trusted.
            KantataError: The search failed.
        """
        found: dict[str, M] = {}
        for portion in _portions(refs):
            wanted = frozenset(portion)
            for each in await self._search(portion):
                for ref in wanted.intersection(self._checked(each, wanted)):
                    if found.setdefault(ref, each) is not each:
                        logger.warning(
                            "%s: several objects have the external reference %s %s %s",
                            self._operation.id, self._key.service_name, self._key.service_model, ref,
                        )  # fmt: skip
        return found

    def refs_of(self, model: M) -> list[str] | None:
        """The references of the key's kind that an object came with; `None` if it came with no references at all."""
        try:
            references: list[Model] = getattr(model, "external_references")  # noqa: B009 - not every model has it
        except NotIncludedError:
            return None
        if not references:
            return None
        kind = (self._key.service_name, self._key.service_model)
        return [
            str(fields.get("service_model_ref"))
            for fields in (reference.to_dict() for reference in references)
            if (fields.get("service_name"), fields.get("service_model")) == kind
        ]

    async def _search(self, portion: list[str]) -> list[M]:
        """All objects that a search for some references brings."""
        query: dict[str, Any] = {
            "external_reference_service_name": self._key.service_name,
            "external_reference_service_model": self._key.service_model,
            "external_reference_service_model_refs": portion,
            "include": ["external_references"],
        }
        return await search(self._session, self._operation, self._cls, query, what=_SEARCH, so=_SO)

    def _checked(self, model: M, wanted: frozenset[str]) -> list[str]:
        """The references of an object that was found, at least one of which must be wanted."""
        refs = self.refs_of(model)
        if refs is None:
            raise self.contradiction(
                f"{_SEARCH} has {model!r} without its external references, so which item it is is unclear. Does the "
                "token's user have access to external references?"
            )
        if wanted.isdisjoint(refs):
            references = ", ".join(
                repr([fields.get(f"service_{part}") for part in ("name", "model", "model_ref")])
                for fields in (
                    each.to_dict()
                    for each in getattr(model, "external_references")[:3]  # noqa: B009
                )
            )
            raise self.contradiction(
                f"{_SEARCH} has {model!r}, whose external references {references} were not asked for (service "
                f"{self._key.service_name!r}, model {self._key.service_model!r}). Perhaps the service ignores case, "
                "blanks, accents, or the filter"
            )
        return refs

    def contradiction(self, problem: str) -> ContradictionError:
        """The error for an answer that can't be trusted."""
        return contradiction(self._operation, problem, _SO)


def _portions(refs: Sequence[str]) -> Iterator[list[str]]:
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
