"""The headers of a response."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar, overload

T = TypeVar("T")


class Headers(Mapping[str, str]):
    """Headers by name in lower case; lookup ignores case. Values of the same name are joined by `, `."""

    __slots__ = ("_values",)

    def __init__(self, received: Iterable[tuple[bytes, bytes]]) -> None:
        """Decode names and values: as UTF-8, and what is not UTF-8 as Latin-1."""
        received = tuple(received)
        try:
            values = {name.decode().lower(): value.decode() for name, value in received}
        except UnicodeDecodeError:
            values = {}
        # Nearly always that is all.
        self._values = values if len(values) == len(received) else self._joined(received)

    @staticmethod
    def _joined(received: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
        """The same if names repeat, or if something is not UTF-8."""
        values: dict[str, str] = {}
        for pair in received:
            try:
                name, value = pair[0].decode().lower(), pair[1].decode()
            except UnicodeDecodeError:
                name, value = (each.decode("latin-1") for each in pair)
                name = name.lower()
            values[name] = f"{values[name]}, {value}" if name in values else value
        return values

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    @overload
    def get(self, key: str, /) -> str | None: ...
    @overload
    def get(self, key: str, default: str | T, /) -> str | T: ...
    def get(self, key: str, default: str | T | None = None, /) -> str | T | None:
        """The value of a header; faster than the method of `Mapping`, which catches an exception."""
        return self._values.get(key.lower(), default)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._values!r})"
