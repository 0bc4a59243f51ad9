"""The part of a response that an object keeps alive: the objects that its associations lead to."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias, cast
from weakref import ref

from kantata_client import models
from kantata_client._objects.model import Model, set_envelope, wrap

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Iterator, Mapping

    from kantata_client._contract import Operation
    from kantata_client._objects.associations import Association
    from kantata_client._objects.inclusion import Parameter

_NOTHING: dict[str, Any] = {}


def class_under(key: str, keys: Mapping[str, str]) -> type[Model]:
    """The class of the objects under an envelope key; `Model` for types that are not in the contract."""
    name = keys.get(key) or models.KEYS.get(key)
    if name is None:
        return Model
    cls = _classes.get(name)
    if cls is None:
        cls = _classes[name] = getattr(models, name)
    return cls


_classes: dict[str, type[Model]] = {}


@lru_cache(256)
def included(model: str | None, requested: frozenset[str]) -> frozenset[Association]:
    """The associations of a class that a request included, by the names that it asked for."""
    if not requested or model not in models.MODULES:
        return frozenset()
    associations: Mapping[str, Association] = getattr(models, model).ASSOCIATIONS
    return frozenset(associations[name] for name in requested if name in associations)


class Requested:
    """The associations and optional fields that a request asked for."""

    __slots__ = ("_operation", "_requested", "included")

    def __init__(self, operation: Operation, requested: frozenset[str]) -> None:
        self._operation = operation
        self._requested = requested
        self.included = included(operation.model, requested)
        """Associations of the operation's class that the request included."""

    def requested(self, model: Model, name: str, *, known_empty: bool = False) -> bool:
        """Whether the request asked for an association or an optional field of this object.

        `include` and `optional_fields` apply to the results of a request, not to sideloaded objects, even if those have the
        same class.

        Args:
            model: An object of the response.
            name: The association or field.
            known_empty: Whether the object's own field shows that the association is empty. Then it is complete for
                sideloaded objects too.
        """
        if name not in self._requested or type(model).__name__ != self._operation.model:
            return False
        return known_empty or self.is_result(model)

    def advice(self, model: Model, parameter: Parameter, name: str) -> str | None:
        """How the request could have asked for an association or an optional field; `None` if it could not."""
        accepted = self._operation.query.get(parameter)
        possible = accepted is not None and name in accepted.values
        if possible and type(model).__name__ == self._operation.model and self.is_result(model):
            return f'add {parameter}=["{name}"] to the call that returned this {type(model).__name__}'
        return None

    def is_result(self, model: Model) -> bool:
        """Whether the object is one of the results, not sideloaded."""
        raise NotImplementedError  # abstract: `Envelope` and `Reach` define it


class Cell:
    """An object as it was received, and its model while the program uses one."""

    __slots__ = ("model", "received")

    def __init__(self, received: dict[str, Any], model: ref[Model] | None = None) -> None:
        self.received = received
        self.model = model

    def __reduce__(self) -> tuple[Any, ...]:
        return Cell, (self.received,)


class Reach(Requested):
    """The envelope of an object that outlives its page: the objects that its associations lead to, directly or not.

    Objects of one page share their cells, so that a record is the same object for all of them.
    """

    __slots__ = ("_cells", "_own", "_results")

    models: Mapping[str, Mapping[str, Model]] = {}
    """Empty: only the program holds models, so that there are no reference cycles."""

    def __init__(
        self,
        operation: Operation,
        requested: frozenset[str],
        cells: Mapping[str, Mapping[str, Cell]],
        results: frozenset[str],
        own: Cell | None,
    ) -> None:
        super().__init__(operation, requested)
        self._cells = cells
        self._results = results
        """The ids of the results among the objects."""
        self._own = own
        """The cell of the object itself; `None` for a copy."""

    def __reduce__(self) -> tuple[Any, ...]:
        parts = (portable(self._operation), self._requested, self._cells, self._results, self._own)
        return _unpickled, parts

    def is_result(self, model: Model) -> bool:
        """Whether the object is one of the results, not sideloaded."""
        return str(model.__dict__.get("id")) in self._results

    def detached(self, model: Model) -> Reach:
        """The envelope for the object itself, or for a copy of it."""
        if self._own is None or self._own.received is model.__dict__:
            return self
        return Reach(self._operation, self._requested, self._cells, self._results, None)

    def find(self, key: str, identifier: Any) -> Model | None:
        """The object of a type and id, the same one each time, or `None`."""
        cell = self._cell(key, identifier if type(identifier) is str else str(identifier))
        if cell is None:
            return None
        model: Model | None = None if cell.model is None else cell.model()
        if model is None:
            model = wrap(class_under(key, self._operation.keys), cell.received, None)
            cell.model = ref(model)
            cells = Reachable(self._neighbours_of).of(model)
            set_envelope(model, Reach(self._operation, self._requested, cells, self._results, cell))
        return model

    def _cell(self, key: str, identifier: str) -> Cell | None:
        cells: Mapping[str, Cell] = self._cells.get(key, _NOTHING)
        return cells.get(identifier)

    def _neighbours_of(self, cls: type[Model], received: dict[str, Any]) -> list[Neighbour]:
        return neighbours(cls, received, self._cells, self._operation.keys, self._cell)

    def find_all(self, key: str, identifiers: Iterable[Any]) -> list[Model]:
        """The objects of a type and these ids; missing ones are left out."""
        found = (self.find(key, identifier) for identifier in identifiers)
        return [model for model in found if model is not None]

    def find_of_type(self, name: Any, identifier: Any) -> Model | None:
        """The object that a polymorphic reference points to. `name` is an envelope key or the name of a type."""
        if not isinstance(name, str) or identifier is None:
            return None
        return self.find(name if name in self._cells else models.TYPES.get(name, name), identifier)

    def adopt(self, model: Model) -> None:
        """Take over an unpickled object, so that `find` returns it for its type and id."""
        if self._own is not None and self._own.received is model.__dict__:
            self._own.model = ref(model)


Neighbour: TypeAlias = tuple[str, str, "Cell", type[Model]]
"""An object that another one refers to: its envelope key, id, cell and class."""


def neighbours(
    model_class: type[Model],
    received: Mapping[str, Any],
    known: Container[str],
    keys: Mapping[str, str],
    cell_of: Callable[[str, str], Cell | None],
) -> list[Neighbour]:
    """The objects that the associations of an object refer to.

    Args:
        model_class: The class of the object.
        received: The object.
        known: The envelope keys of the response.
        keys: Envelope key → class, for keys with another class than usual in this operation.
        cell_of: The cell of an object, by its envelope key and its id.
    """
    found: list[Neighbour] = []
    for name, identifier in _references(model_class, received):
        key = name if name in known else models.TYPES.get(name)
        if key is None or identifier is None:
            continue
        identifier = str(identifier)
        cell = cell_of(key, identifier)
        if cell is not None:
            found.append((key, identifier, cell, class_under(key, keys)))
    return found


def _references(model_class: type[Model], received: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Envelope key or type name, and id, of each object that an object's associations refer to."""
    for association in model_class.ASSOCIATIONS.values():
        value = received.get(association.ids)
        if not value:
            continue
        if association.key is None:
            if type(value) is dict:
                reference = cast("dict[str, Any]", value)
                yield str(reference.get("key")), reference.get("id")
        elif type(value) is list:
            for identifier in cast("list[Any]", value):
                yield association.key, identifier
        else:
            yield association.key, value


class Reachable:
    """Finds what the associations of objects of one response lead to."""

    __slots__ = ("_found", "_neighbours", "_neighbours_of")

    def __init__(self, neighbours_of: Callable[[type[Model], dict[str, Any]], list[Neighbour]]) -> None:
        self._neighbours_of = neighbours_of
        """Returns the neighbours of an object, by its class and what was received."""
        self._neighbours: dict[int, list[Neighbour]] = {}
        """`id()` of a received object → its neighbours."""
        self._found: dict[int, dict[str, dict[str, Cell]]] = {}
        """`id()` of a received object → what `of` has returned for it."""

    def of(self, model: Model) -> dict[str, dict[str, Cell]]:
        """The cells of all objects that an object's associations lead to, by envelope key and id.

        The object itself is included only if one of the others refers to it. Objects that lead to each other, such as a
        story and its sub-stories, share the result.
        """
        own = model.__dict__
        found: dict[str, dict[str, Cell]] = {}
        waiting: list[tuple[type[Model], dict[str, Any]]] = [(type(model), own)]
        while waiting:
            for key, identifier, cell, cls in self._near(*waiting.pop()):
                cells = found.get(key)
                if cells is None:
                    cells = found[key] = {}
                if identifier in cells:
                    continue
                cells[identifier] = cell
                further = self._found.get(id(cell.received))
                if further is None:
                    waiting.append((cls, cell.received))
                elif _contains(further, own):
                    found = further
                    waiting.clear()
                    break
                else:
                    for key_further, cells_further in further.items():
                        found.setdefault(key_further, {}).update(cells_further)
        self._found[id(own)] = found
        return found

    def _near(self, cls: type[Model], received: dict[str, Any]) -> list[Neighbour]:
        near = self._neighbours.get(id(received))
        if near is None:
            near = self._neighbours[id(received)] = self._neighbours_of(cls, received)
        return near


def _contains(cells: Mapping[str, Mapping[str, Cell]], received: Mapping[str, Any]) -> bool:
    """Whether one of the cells is that of an object."""
    identifier = str(received.get("id"))
    return any(
        (cell := of_key.get(identifier)) is not None and cell.received is received
        for of_key in cells.values()
    )


def portable(operation: Operation) -> Operation | str:
    """An operation as it is pickled: by its id if the contract has it, which takes a few bytes instead of thousands."""
    from kantata_client.operations import OPERATIONS

    name = operation.id
    return name if name in OPERATIONS and OPERATIONS[name] is operation else operation


def operation_of(portable: Operation | str) -> Operation:
    """The operation that was pickled."""
    from kantata_client.operations import OPERATIONS

    return OPERATIONS[portable] if isinstance(portable, str) else portable


def _unpickled(
    operation: Operation | str,
    requested: frozenset[str],
    cells: Mapping[str, Mapping[str, Cell]],
    results: frozenset[str],
    own: Cell | None,
) -> Reach:
    return Reach(operation_of(operation), requested, cells, results, own)
