"""Imports on first use: of generated code, which takes a second as a whole, and of names that only annotations need."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from types import FunctionType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from kantata_client._suggestions import similar

if TYPE_CHECKING:
    from collections.abc import Callable, ItemsView, Iterator, KeysView, ValuesView

D = TypeVar("D", bound="type | Callable[..., Any]")
T = TypeVar("T")


def lazy_attributes(
    package: str, modules: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` (PEP 562) for a package whose names are defined in its modules.

    Args:
        package: The package's `__name__`.
        modules: Name → module in the package.
    """
    namespace = vars(sys.modules[package])

    def load(name: str) -> Any:
        if name not in modules:
            msg = f"module {package!r} has no attribute {name!r}{similar(name, modules)}"
            raise AttributeError(msg)
        value = namespace[name] = getattr(import_module(f"{package}.{modules[name]}"), name)
        return value

    def names() -> list[str]:
        public = namespace.get("__all__", ())
        own = (name for name, value in namespace.items() if _belongs(name, value, package))
        return sorted({*modules, *public, *own})

    return load, names


def _belongs(name: str, value: object, package: str) -> bool:
    """Whether a name of a package is not an import: a class or function of its own, or `__name__` and the like."""
    if name.startswith("_"):
        return name.startswith("__")
    return isinstance(value, (FunctionType, type)) and value.__module__ == package


class LazyConstants(Mapping[str, T]):
    """Constants of a package's modules under other names; iterating over the names imports nothing."""

    def __init__(self, package: str, locations: dict[str, str]) -> None:
        """Create the mapping.

        Args:
            package: The package's `__name__`.
            locations: Name → `"module.CONSTANT"` below the package.
        """
        self._package = package
        self._locations = locations

    def __getitem__(self, key: str) -> T:
        module, constant = self._locations[key].split(".")
        return cast("T", getattr(import_module(f"{self._package}.{module}"), constant))

    def __iter__(self) -> Iterator[str]:
        return iter(self._locations)

    def __len__(self) -> int:
        return len(self._locations)

    def __contains__(self, key: object) -> bool:
        return key in self._locations

    def __repr__(self) -> str:
        return f"<{len(self)} {self._package.rpartition('.')[2]}>"


class Annotations(dict[str, Any]):
    """Annotations as text that can be resolved: reading them runs the module's imports for type checkers.

    Modules import most names under `if TYPE_CHECKING:`, to start quickly. `typing.get_type_hints` looks names up in the
    module's namespace; this class adds them to it before it returns the first annotation.
    """

    def __init__(self, annotations: Mapping[str, Any], module: str) -> None:
        super().__init__(annotations)
        self._module = module

    def _complete(self) -> None:
        if self._module not in _completed:
            _import_for_types(vars(sys.modules[self._module]))
            _completed.add(self._module)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __getitem__(self, name: str) -> Any:
        self._complete()
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self._complete()
        return super().get(name, default)

    def keys(self) -> KeysView[str]:  # pyright: ignore[reportIncompatibleMethodOverride]
        self._complete()
        return super().keys()

    def values(self) -> ValuesView[Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        self._complete()
        return super().values()

    def items(self) -> ItemsView[str, Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        self._complete()
        return super().items()


_completed: set[str] = set()
"""Modules whose imports for type checkers have been run."""


def resolvable(value: D) -> D:
    """Let `typing.get_type_hints` work on a function, or on a class and its methods; a decorator."""
    functions: list[Any] = [value]
    if type(value) is not FunctionType:
        own = vars(cast("type", value))
        _resolve(value, own.get("__annotations__"))
        for member in own.values():
            outer = member.fget if type(member) is property else getattr(member, "__func__", member)
            functions += [outer, getattr(outer, "__wrapped__", None)]  # a decorator shares the annotations
    for function in functions:
        if type(function) is FunctionType:
            _resolve(function, function.__annotations__)
    return value


def _resolve(value: Any, annotations: Any) -> None:
    if type(annotations) is dict and annotations:
        value.__annotations__ = Annotations(cast("dict[str, Any]", annotations), value.__module__)


def _import_for_types(namespace: dict[str, Any]) -> None:
    """Run a module's imports under `if TYPE_CHECKING:`, found in its source; without source, run none."""
    import ast
    from linecache import getlines

    source = "".join(getlines(namespace["__file__"], namespace))
    for node in ast.parse(source).body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            imports: list[ast.stmt] = [
                each for each in node.body if isinstance(each, (ast.Import, ast.ImportFrom))
            ]
            code = compile(ast.Module(imports, type_ignores=[]), namespace["__file__"], "exec")
            exec(code, namespace)  # noqa: S102 - this package's own imports
