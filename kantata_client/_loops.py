"""What objects have of their own in each event loop, such as connections and locks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from anyio.lowlevel import RunVar

K = TypeVar("K")
V = TypeVar("V")


class PerLoop(Generic[K, V]):
    """A value for each object in each event loop; it goes with either of the two."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._var: RunVar[WeakKeyDictionary[K, V]] | None = None

    def running(self) -> WeakKeyDictionary[K, V]:
        """Those of the running event loop."""
        if self._var is None:
            from anyio.lowlevel import RunVar

            self._var = RunVar(f"kantata_client: {self._name}")
        held = self._var.get(None)
        if held is None:
            held = WeakKeyDictionary[K, V]()
            self._var.set(held)
        return held
