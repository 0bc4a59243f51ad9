"""Importing the generated code when it is first used: all of it at once would cost every program a second."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")


def lazy_attributes(
    package: str, modules: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` (PEP 562) of a package whose names live in modules below it.

    Args:
        package: The package's `__name__`.
        modules: Name → module below the package.
    """
    namespace = vars(sys.modules[package])

    def load(name: str) -> Any:
        if name not in modules:
            msg = f"module {package!r} has no attribute {name!r}{similar(name, modules)}"
            raise AttributeError(msg)
        value = namespace[name] = getattr(import_module(f"{package}.{modules[name]}"), name)
        return value

    def names() -> list[str]:
        return sorted({*namespace, *modules})

    return load, names


class LazyConstants(Mapping[str, T]):
    """Constants of a package's modules by another name; iterating over the names imports nothing."""

    def __init__(self, package: str, places: dict[str, str]) -> None:
        """Make the mapping.

        Args:
            package: The package's `__name__`.
            places: Name → `"module.CONSTANT"` below the package.
        """
        self._package = package
        self._places = places

    def __getitem__(self, key: str) -> T:
        module, constant = self._places[key].split(".")
        return cast("T", getattr(import_module(f"{self._package}.{module}"), constant))

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: object) -> bool:
        return key in self._places

    def __repr__(self) -> str:
        return f"<{len(self)} {self._package.rpartition('.')[2]}>"


def similar(name: str, known: Mapping[str, object] | tuple[str, ...]) -> str:
    """`; did you mean 'stories'?`, or nothing."""
    close = get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
