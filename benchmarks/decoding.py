"""One page from bytes to objects, beside `json.loads`, pydantic and the stock generator's code."""

from __future__ import annotations

import gc
import json
from itertools import chain
from typing import TYPE_CHECKING, Any

from benchmarks.data import INCLUDE, page
from benchmarks.measure import Line, by_turns, seconds_of
from benchmarks.rivals import pydantic_envelope, stock_stories
from kantata_client._calls.drift import Drift
from kantata_client._calls.envelope import decode_envelope
from kantata_client._objects.fields import day, moment
from kantata_client.models import Story, User, Workspace
from kantata_client.operations import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.measure import Report, Rounds
    from kantata_client._calls.envelope import Decoded

_CONVERTED = (type(day()), type(moment()))
_OBJECTS = {"stories": Story, "users": User, "workspaces": Workspace}
_DATES = {
    cls: [name for name in cls.FIELDS if isinstance(vars(cls).get(name), _CONVERTED)]
    for cls in _OBJECTS.values()
}


def lines(rounds: int, report: Report | None = None) -> list[Line]:
    """Decode the page in each way."""
    received, without_nulls = page(), page(nulls=False)
    identifiers = {key: list(json.loads(received)[key]) for key in _OBJECTS}
    drift = Drift("warn")

    def decoded(content: bytes) -> Decoded[Story]:
        return decode_envelope(content, Story, OPERATIONS["GET /stories"], frozenset(INCLUDE), None, drift)

    def read_associations(page: Decoded[Story]) -> None:
        for story in page.items:
            for name in INCLUDE:
                getattr(story, name)

    def read_dates(page: Decoded[Story]) -> None:
        stories: list[Any] = page.items
        find_all = stories[0].__envelope__.find_all
        sideloads = (find_all(key, identifiers[key]) for key in ("users", "workspaces"))
        for model in (*stories, *chain.from_iterable(sideloads)):
            for name in _DATES[type(model)]:
                getattr(model, name)

    # As in a loop over pages, a page is in use until the next one is decoded.
    def use(content: bytes, *reads: Callable[[Decoded[Story]], object]) -> None:
        page = decoded(content)
        for read in reads:
            read(page)

    def keep(content: bytes) -> list[Story]:
        """All stories of a page that is not used any more, as `collect` keeps them."""
        return decoded(content).items

    validated = pydantic_envelope(Story, User, Workspace)
    with stock_stories() as stock:
        ways: dict[str, Callable[[], Any]] = {
            "json.loads": lambda: json.loads(received),
            "objects": lambda: use(received),
            "associations": lambda: use(received, read_associations),
            "dates": lambda: use(received, read_associations, read_dates),
            "kept": lambda: keep(received),
            "pydantic": lambda: validated(received),
            "null-free": lambda: use(without_nulls),
            "stock": lambda: stock(without_nulls),
        }
        for way in ways.values():
            way()
        # What was imported only for the comparison must not make collections of garbage longer.
        gc.collect()
        gc.freeze()
        measured = by_turns(rounds, {name: seconds_of(way, 5) for name, way in ways.items()}, report)
        gc.unfreeze()
    return _lines(measured)


def _lines(measured: Rounds) -> list[Line]:
    def line(
        name: str, way: str, reference: str, target: float | None, *, to: str, at_least: bool = False
    ) -> Line:
        ratio = measured.ratio(reference, way) if at_least else measured.ratio(way, reference)
        return Line(name, measured.value(way) * 1000, "ms", to, ratio, target, at_least)

    return [
        line("json.loads", "json.loads", "json.loads", None, to="json.loads"),
        line("decode: all results", "objects", "json.loads", 0.6, to="json.loads"),
        line("decode + every association", "associations", "json.loads", 0.75, to="json.loads"),
        line("decode, keep all results", "kept", "json.loads", None, to="json.loads"),
        line("decode + associations + every date", "dates", "json.loads", 2.0, to="json.loads"),
        line("the same", "dates", "pydantic", 1.0, to="pydantic 2, validating"),
        line("pydantic 2, validating", "pydantic", "json.loads", None, to="json.loads"),
        line(
            "decode, no nulls: times as fast", "null-free", "stock", 4.0, to="stock generator", at_least=True
        ),
        line("stock generator's from_dict", "stock", "json.loads", None, to="json.loads"),
    ]
