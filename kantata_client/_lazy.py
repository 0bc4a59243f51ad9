"""Importing the generated code when it is first used: all of it at once would cost every program a second."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from kantata_client._operation import Operation
    from kantata_client._session import Session


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


def similar(name: str, known: Mapping[str, object] | tuple[str, ...]) -> str:
    """`; did you mean 'stories'?`, or nothing."""
    close = get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


class LazyResources:
    """Resources as attributes; the class of each is imported, and its one object made, on first use."""

    __slots__ = ("_resources", "_session")

    CLASSES: ClassVar[Mapping[str, str]] = {}
    """Attribute → class in the module of that name in `kantata_client.api`."""

    _session: Session
    _resources: dict[str, Any]

    if not TYPE_CHECKING:  # it knows the resources, and should refuse other names

        def __getattr__(self, name: str) -> Any:
            if name not in self.CLASSES:
                msg = f"{type(self).__name__!r} object has no attribute {name!r}{similar(name, self.CLASSES)}"
                raise AttributeError(msg)
            if name not in self._resources:
                module = import_module(f"kantata_client.api.{name}")
                self._resources[name] = getattr(module, self.CLASSES[name])(self._session)
            return self._resources[name]

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.CLASSES})


class LazyOperations(Mapping[str, "Operation"]):
    """`"METHOD /path"` → operation; iterating the keys imports nothing."""

    def __init__(self, places: dict[str, str]) -> None:
        self._places = places

    def __getitem__(self, key: str) -> Operation:
        module, constant = self._places[key].split(".")
        operation: Operation = getattr(import_module(f"kantata_client.api.{module}"), constant)
        return operation

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: object) -> bool:
        return key in self._places

    def __repr__(self) -> str:
        return f"<{len(self)} operations>"
