"""The base class of resources: performs operations, and turns responses into objects."""

from __future__ import annotations

from functools import wraps
from importlib import import_module
from inspect import iscoroutinefunction
from types import FunctionType
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, cast

from kantata_client._calls.extras import with_extras
from kantata_client._lazy import resolvable
from kantata_client._objects.model import Model
from kantata_client._suggestions import similar
from kantata_client.errors import UnexpectedArgumentError

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Mapping

    from kantata_client._bulk.reference_key import ExternalReferenceKey
    from kantata_client._bulk.run import BulkRun
    from kantata_client._calls.session import Session
    from kantata_client._contract import Operation
    from kantata_client._lists.paginator import Paginator
    from kantata_client.hooks import Progress

M = TypeVar("M", bound=Model)

F = TypeVar("F", bound="Callable[..., Any]")

_NOTHING: Mapping[str, Any] = {}

_LIMITS = ("limit", "max_results", "count", "first", "top", "take", "size")
"""What other APIs call the largest number of objects that a list delivers."""

_METHODS = {
    "find": "get",
    "fetch": "get",
    "read": "get",
    "retrieve": "get",
    "show": "get",
    "all": "list",
    "filter": "list",
    "index": "list",
    "query": "list",
    "search": "list",
    "where": "list",
    "add": "create",
    "insert": "create",
    "new": "create",
    "post": "create",
    "edit": "update",
    "modify": "update",
    "patch": "update",
    "put": "update",
    "save": "update",
    "destroy": "delete",
    "remove": "delete",
    "bulk_create": "create_many",
    "bulk_update": "update_many",
    "bulk_delete": "delete_many",
    "current": "me",
    "whoami": "me",
}
"""Method of other clients → the method here."""


@resolvable
class Resource:
    """A resource of the API, such as `kantata.stories`; its methods are the operations of the contract."""

    __slots__ = ("_session",)

    def __init_subclass__(cls) -> None:
        resolvable(cls)
        for name, value in list(vars(cls).items()):
            if type(value) is FunctionType and not name.startswith("_"):
                where = f"{value.__module__.rpartition('.')[2]}.{name}"
                setattr(cls, name, _explained(value, where))

    def __init__(self, session: Session) -> None:
        self._session = session

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._session.base_url}>"

    def _with_session(self, session: Session) -> Self:
        return type(self)(session)

    if not TYPE_CHECKING:  # type checkers should report these as errors

        def __getattr__(self, name: str) -> Any:
            msg = f"{type(self).__name__!r} object has no attribute {name!r}"
            if not name.startswith("_"):
                msg += _method_hint(type(self), name)
            raise AttributeError(msg)

        def __aiter__(self) -> Any:
            raise TypeError(_not_a_list(type(self)))

        def __iter__(self) -> Any:
            raise TypeError(_not_a_list(type(self)))

    def _page(
        self,
        operation: Operation,
        cls: type[M],
        *,
        path: tuple[int | str, ...] = (),
        query: Mapping[str, Any] = _NOTHING,
        extra_query: Mapping[str, object] | None = None,
    ) -> Paginator[M]:
        query, _ = with_extras(operation, query, None, extra_query, None)
        from kantata_client._lists.paginator import Paginator

        return Paginator(self._session, operation, cls, path, query)

    def _one(
        self,
        operation: Operation,
        cls: type[M],
        *,
        path: tuple[int | str, ...] = (),
        query: Mapping[str, Any] = _NOTHING,
        body: Mapping[str, Any] | None = None,
        extra_query: Mapping[str, object] | None = None,
        extra_body: Mapping[str, object] | None = None,
    ) -> Awaitable[M]:
        query, body = with_extras(operation, query, body, extra_query, extra_body)
        return self._session.one(operation, cls, path, query, body)

    def _many(
        self,
        operation: Operation,
        cls: type[M],
        *,
        path: tuple[int | str, ...] = (),
        query: Mapping[str, Any] = _NOTHING,
        body: Mapping[str, Any] | None = None,
        extra_query: Mapping[str, object] | None = None,
        extra_body: Mapping[str, object] | None = None,
    ) -> Awaitable[list[M]]:
        query, body = with_extras(operation, query, body, extra_query, extra_body)
        return self._session.many(operation, cls, path, query, body)

    async def _none(
        self,
        operation: Operation,
        *,
        path: tuple[int | str, ...] = (),
        query: Mapping[str, Any] = _NOTHING,
        body: Mapping[str, Any] | None = None,
        extra_query: Mapping[str, object] | None = None,
        extra_body: Mapping[str, object] | None = None,
    ) -> None:
        query, body = with_extras(operation, query, body, extra_query, extra_body)
        await self._session.perform(operation, path, query, body)

    async def _file(
        self,
        operation: Operation,
        *,
        path: tuple[int | str, ...] = (),
        query: Mapping[str, Any] = _NOTHING,
        body: Mapping[str, Any] | None = None,
        extra_query: Mapping[str, object] | None = None,
        extra_body: Mapping[str, object] | None = None,
    ) -> bytes:
        query, body = with_extras(operation, query, body, extra_query, extra_body)
        return await self._session.file(operation, path, query, body)

    def _create_many(
        self,
        operation: Operation,
        cls: type[M],
        items: Iterable[Any] | AsyncIterable[Any],
        *,
        concurrency: int,
        progress: Progress | None,
        key: ExternalReferenceKey | None = None,
        atomic: bool = False,
        query: Mapping[str, Any] = _NOTHING,
        extra_query: Mapping[str, object] | None = None,
        extra_body: object = None,
    ) -> BulkRun[M]:
        from kantata_client._bulk.writes import create_many

        return create_many(
            self._session,
            operation,
            cls,
            items,
            concurrency=concurrency,
            progress=progress,
            key=key,
            atomic=atomic,
            query=query,
            extra_query=extra_query,
            extra_body=extra_body,
        )

    def _update_many(
        self,
        operation: Operation,
        cls: type[M],
        items: Iterable[Any] | AsyncIterable[Any],
        *,
        concurrency: int,
        progress: Progress | None,
        upsert: Operation | None = None,
        query: Mapping[str, Any] = _NOTHING,
        extra_query: Mapping[str, object] | None = None,
        extra_body: object = None,
    ) -> BulkRun[M]:
        from kantata_client._bulk.writes import update_many

        return update_many(
            self._session,
            operation,
            cls,
            items,
            concurrency=concurrency,
            progress=progress,
            upsert=upsert,
            query=query,
            extra_query=extra_query,
            extra_body=extra_body,
        )

    def _delete_many(
        self,
        operation: Operation,
        ids: Iterable[int | str | Model] | AsyncIterable[int | str | Model],
        *,
        concurrency: int,
        progress: Progress | None,
        extra_query: Mapping[str, object] | None = None,
    ) -> BulkRun[None]:
        from kantata_client._bulk.writes import delete_many

        return delete_many(
            self._session,
            operation,
            ids,
            concurrency=concurrency,
            progress=progress,
            extra_query=extra_query,
        )

    def _decide_many(
        self,
        operation: str,
        name: str,
        ids: Iterable[int | str | Model] | AsyncIterable[int | str | Model],
        *,
        description: object,
        concurrency: int,
        progress: Progress | None,
        extra_query: Mapping[str, object] | None = None,
        extra_body: Mapping[str, object] | None = None,
    ) -> BulkRun[Any]:
        from kantata_client._bulk.writes import decide_many
        from kantata_client.operations import OPERATIONS

        return decide_many(
            self._session,
            OPERATIONS[operation],
            ids,
            name=name,
            description=description,
            concurrency=concurrency,
            progress=progress,
            extra_query=extra_query,
            extra_body=extra_body,
        )


def _method_hint(cls: type[Resource], name: str) -> str:
    """What to call instead of a method that a resource does not have."""
    known = [each for each in dir(cls) if not each.startswith("_")]
    meant = _METHODS.get(name)
    if meant in known:
        return f"; did you mean {meant!r}?"
    if "list" in known:
        from kantata_client._lists.paginator import Paginator

        if name in vars(Paginator):
            return f"; a list has it: list(…).{name}"
    return similar(name, known)


def _not_a_list(cls: type[Resource]) -> str:
    resource = f"kantata.{cls.__module__.rpartition('.')[2]}"
    advice = f": write `async for item in {resource}.list()`" if hasattr(cls, "list") else ""
    return f"{resource} is not a list{advice}"


def explained_as(where: str) -> Callable[[F], F]:
    """A decorator for a method, whose error for an argument that does not exist then says which one was probably meant.

    Args:
        where: The method's name in the error.
    """
    return lambda method: cast("F", _explained(method, where))


def _explained(method: Any, where: str) -> Any:
    def call(*arguments: Any, **named: Any) -> Any:
        try:
            return method(*arguments, **named)
        except TypeError as error:
            # Raised by the call itself, not further inside.
            if error.__traceback__ is not None and error.__traceback__.tb_next is None:
                _refuse_unknown(method, where, list(named), error)
            raise
        finally:
            del arguments, named  # a traceback may show local variables, and one of these may be a token

    async def call_async(*arguments: Any, **named: Any) -> Any:
        try:
            coroutine = method(*arguments, **named)
        except TypeError as error:
            _refuse_unknown(method, where, list(named), error)
            raise
        finally:
            del arguments, named  # as above
        return await coroutine

    return wraps(method)(call_async if iscoroutinefunction(method) else call)


def _refuse_unknown(method: Any, where: str, named: Iterable[str], error: TypeError) -> None:
    code = method.__code__
    known = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
    unknown = next((name for name in named if name not in known), None)
    if unknown is None:
        return
    extra = "extra_query or extra_body" if "extra_body" in known else "extra_query"
    if unknown in _LIMITS and "per_page" in known:
        hint = "; to end a walk early, write .items(limit=…) or .collect(limit=…); per_page is the size of a page"
    else:
        hint = similar(unknown, known) or (
            f"; what the contract lacks goes into {extra}" if "extra_query" in known else ""
        )
    raise UnexpectedArgumentError(f"{where} got an unexpected keyword argument {unknown!r}{hint}") from error


@resolvable
class LazyResources:
    """Resources as attributes, imported and created on first use."""

    __slots__ = ("_resources", "_session")

    CLASSES: ClassVar[Mapping[str, str]] = {}
    """Attribute → class, in the module of `kantata_client.api` with the attribute's name."""

    _session: Session
    _resources: dict[str, Any]

    if not TYPE_CHECKING:  # the type checker knows the resources, and should reject other names

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
