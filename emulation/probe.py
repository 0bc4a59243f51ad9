"""Asks the sandbox about an operation: each parameter, order, include, optional field and property by a request."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import attrs

from emulation.arguments import Known, different, widest
from emulation.samples import MADE, SAMPLES, TRIALS, Sample, Trial
from emulation.server import Answer, Server
from kantata_client.operations import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from kantata_client._contract import Operation, Parameter

Encode: TypeAlias = "Callable[[Operation, dict[str, Any]], Any]"
"""Makes the body of a request from its properties."""

Level: TypeAlias = Literal["yes", "no effect", "501", "unclear"]
"""What the sandbox makes of something: it does it; takes it, and no answer shows it; refuses it; no request was found."""

ASPECTS = ("parameters", "orders", "includes", "optional fields", "properties")
_ATTEMPTS = 60
_VALUES, _FEW = 12, 2
_LISTS = {"include": "includes", "optional_fields": "optional fields"}


@attrs.frozen
class Finding:
    """What was found out about one thing."""

    level: Level
    why: str = ""
    """The refusal, where there is one."""


@attrs.frozen
class Row:
    """What was found out about an operation and, by aspect and name, about what it takes."""

    operation: str
    finding: Finding
    aspects: Mapping[str, Mapping[str, Finding]] = attrs.field(factory=dict[str, Mapping[str, Finding]])


@attrs.frozen
class _Request:
    """A request that the sandbox carries out."""

    path: str
    query: dict[str, Any]
    item: dict[str, Any]
    """The properties of the body."""
    before: tuple[tuple[str, str, Any], ...] = ()


class Probe:
    """Requests to one sandbox with the demo account, which begins again after each write."""

    def __init__(self, *, strict: bool = True) -> None:
        self._server = Server(strict=strict)
        self._known = Known(self._server)
        self._bases: dict[str, tuple[_Request | None, Answer]] = {}
        self._made = ""
        self._asked: dict[str, dict[str, Any]] = {}

    def row(self, operation: Operation) -> Row:
        """Find out about one operation."""
        base, answer = self._base(operation)
        if base is None:
            return Row(operation.id, Finding("501" if answer.status == 501 else "unclear", answer.message))
        found: dict[str, dict[str, Finding]] = {aspect: {} for aspect in ASPECTS}
        for name, parameter in operation.query.items():
            request, values = self._trial(operation, base, name, parameter)
            if name in _LISTS:
                found[_LISTS[name]] = {
                    value: self._accepts(operation, base, name, [value]) for value in parameter.values
                }
            elif name == "order" and parameter.values:
                found["orders"] = {
                    value: self._accepts(operation, base, name, [value.replace("<custom_field_id>", "3801")])
                    for value in parameter.values
                }
            else:
                every = bool(parameter.values) or parameter.kind == "boolean"
                found["parameters"][name] = self._accepts(operation, request, name, values, every=every)
        for name, parameter in operation.body.fields.items() if operation.body else ():
            request, values = self._trial(operation, base, name, parameter)
            found["properties"][name] = self._property(operation, request, name, values)
        return Row(operation.id, Finding("yes"), found)

    def answer(self, operation: Operation) -> Answer:
        """What an operation answers to a request that it carries out."""
        return self._base(operation)[1]

    def again(
        self,
        operation: Operation,
        query: Mapping[str, Any] | None = None,
        item: Mapping[str, Any] | None = None,
        *,
        encode: Encode | None = None,
    ) -> Answer:
        """What an operation answers to that request with more parameters or properties, or in another encoding."""
        if operation.id not in self._bases:
            self._server.reset()  # requests that write may have come before
            self._bases[operation.id] = self._base(operation)
        base, answer = self._bases[operation.id]
        return answer if base is None else self._send(operation, base, query, item, encode)

    def accepted(self, operation: Operation) -> dict[str, Any]:
        """Properties of the body, each with a value that the operation accepts."""
        fields = operation.body.fields if operation.body else {}
        found: dict[str, Any] = {}
        for name, parameter in fields.items():
            for value in itertools.islice(self._known.candidates(operation, name, parameter), _FEW):
                if self.again(operation, item={name: value}).ok:
                    found[name] = value
                    break
        return found

    def _trial(
        self, operation: Operation, base: _Request, name: str, parameter: Parameter
    ) -> tuple[_Request, Iterable[Any]]:
        """The request that takes a parameter or property, and the values to try in it."""
        trial = TRIALS.get((operation.id, name), Trial())
        request = base
        if trial.sample is not None:
            found, answer = self._base(operation, trial.sample)
            if found is None:
                message = f"The trial of `{name}` in {operation.id} is refused: {answer.message}"
                raise ValueError(message)
            request = found
        given = [held[name] for held in (request.query, request.item) if name in held]
        candidates = itertools.chain(given, self._known.candidates(operation, name, parameter))
        return request, trial.values or different(candidates)

    # One request that works

    def _base(self, operation: Operation, sample: Sample | None = None) -> tuple[_Request | None, Answer]:
        """A request that the sandbox carries out, and its answer; None and the last refusal if there is none."""
        sample = sample or SAMPLES.get(operation.id, Sample())
        query = widest(operation) | dict(sample.query)
        query.pop("per_page", None)
        item: dict[str, Any] = {
            name: next(self._known.candidates(operation, name, parameter), None)
            for name, parameter in (operation.body.fields if operation.body else {}).items()
            if parameter.required and name not in sample.body
        }
        item |= sample.body
        answer = Answer(0, None)
        for path in itertools.islice(self._paths(operation, sample), _ATTEMPTS):
            request = _Request(path, query, item, sample.before)
            answer = self._send(operation, request)
            if answer.ok:
                return request, answer
            if answer.status == 501:
                break
        return None, answer

    def _paths(self, operation: Operation, sample: Sample) -> Iterator[str]:
        words = operation.path.strip("/").split("/")
        keys = [
            words[place - 1]
            if not words[place - 1].startswith("{")
            else self._known.target(word[1:-1], operation.key)
            for place, word in enumerate(words)
            if word.startswith("{")
        ]
        options = [[word] for word in sample.path] or [self._known.ids(key or "") or ["1"] for key in keys]
        for ids in itertools.product(*options):
            path = operation.path
            for name, value in zip(operation.path_parameters, ids, strict=True):
                path = path.replace(f"{{{name}}}", value)
            yield path

    def _send(
        self,
        operation: Operation,
        request: _Request,
        query: Mapping[str, Any] | None = None,
        item: Mapping[str, Any] | None = None,
        encode: Encode | None = None,
    ) -> Answer:
        """Send a request with more parameters or properties, to an account that nothing else was written to."""
        server = self._server
        if request.before or operation.method != "GET":
            server.reset()
        self._made = ""
        for step in request.before:
            self._prepare(*step)
        asked = {**request.query, **(query or {})}
        return server.send(
            operation.method,
            request.path.replace(MADE, self._made),
            {name: self._named(value) for name, value in asked.items()},
            (encode or _body)(
                operation,
                {
                    name: self._named(value, number=True)
                    for name, value in {**request.item, **(item or {})}.items()
                },
            ),
        )

    def _named(self, value: Any, *, number: bool = False) -> Any:
        """A value with the id of the record that was made first in the place of `MADE`."""
        if isinstance(value, list):
            return [self._named(each, number=number) for each in cast("list[Any]", value)]
        return (int(self._made) if number else self._made) if value == MADE else value

    def _prepare(self, method: str, path: str, body: Any) -> None:
        """Send a request that has to come first."""
        operation = OPERATIONS.get(f"{method} {path}")
        form = operation is not None and operation.body is not None and operation.body.multipart
        answer = self._server.send(
            method,
            path.replace(MADE, self._made),
            body=_body(operation, body) if operation and form else body,
        )
        if method == "GET":
            return  # it is asked until something is ready
        if not answer.ok:
            message = f"{method} {path} has to come first, and is refused: {answer.message}"
            raise ValueError(message)
        results = answer.body.get("results") if isinstance(answer.body, dict) else None
        self._made = results[0]["id"] if results else str((answer.body or {}).get("id", ""))

    # Parameters

    def _accepts(
        self, operation: Operation, base: _Request, name: str, values: Iterable[Any], *, every: bool = False
    ) -> Finding:
        """Whether one of the values is accepted, or `every` one."""
        message, accepted = "", False
        hides = operation.method == "GET" and operation.path.endswith("}")
        for value in values:
            answer = self._send(operation, base, {name: value})
            if answer.status == 501:
                return Finding("501", answer.message)
            if answer.ok:
                accepted = True
                if not every:
                    break
            elif not (hides and answer.status == 404):  # a filter that hides the record
                message = f"{value!r}: {answer.message}"
                if every:
                    return Finding("unclear", message)
        return Finding("yes") if accepted else Finding("unclear", message)

    # Properties of bodies

    def _property(self, operation: Operation, base: _Request, name: str, values: Iterable[Any]) -> Finding:
        """Whether a property is accepted, and whether it makes a difference to what can be read afterwards."""
        without = attrs.evolve(base, item={n: v for n, v in base.item.items() if n != name})
        answer = self._send(operation, without)
        plain = self._read(operation, without, answer) if answer.ok else None
        needed, message, accepted = plain is None, "", []
        for value in itertools.islice(values, _VALUES):
            answer = self._send(operation, base, item={name: value})
            if answer.status == 501:
                return Finding("501", answer.message)
            if not answer.ok:
                message = f"{value!r}: {answer.message}"
                continue
            accepted.append(value)
            now = self._read(operation, base, answer)
            if plain is None:
                plain = now  # a needed property: another value has to make the difference
            elif now != plain:
                return Finding("yes")
        if not accepted:
            return Finding("unclear", message)
        if needed and len(accepted) == 1:
            return Finding("yes")  # without it, the request is refused
        for value in accepted:
            if self._differs_elsewhere(operation, base, without if not needed else base, name, value):
                return Finding("yes")
        return Finding("no effect")

    def _read(self, operation: Operation, request: _Request, answer: Answer) -> list[Any]:
        """What a write answers, and its records as they are read afterwards, with all that can be asked for."""
        found: list[Any] = [answer.body]
        results = answer.body.get("results", ()) if isinstance(answer.body, dict) else ()
        paths = [f"/{result['key']}/{result['id']}" for result in results]
        about = "/".join(request.path.replace(MADE, self._made).split("/")[:3])
        for path in dict.fromkeys((*paths, about)):
            collection, _, identity = path.rpartition("/")
            getting, listing = (
                OPERATIONS.get(f"GET {each}") for each in (f"{collection}/{{id}}", collection)
            )
            if getting is not None:
                every = self._everything(getting)
                read = self._server.send("GET", path, every)
                if not read.ok:  # some optional fields are known of the demo account's records only
                    read = self._server.send("GET", path, {"include": every.get("include") or ()})
                found.append(read.body)
            elif listing is not None and "only" in listing.query:
                query = {**widest(listing), "only": identity, **self._everything(listing)}
                found.append(self._server.send("GET", collection, query).body)
        return found

    def _everything(self, getting: Operation) -> dict[str, Any]:
        """The includes and optional fields of an operation that are emulated."""
        if getting.id not in self._asked:
            base, _ = self._base(getting)
            self._asked[getting.id] = {
                name: [
                    value
                    for value in getting.query[name].values
                    if base is None or self._server.send("GET", base.path, {name: value}).status != 501
                ]
                for name in ("include", "optional_fields")
                if name in getting.query
            }
        return self._asked[getting.id]

    def _differs_elsewhere(
        self, operation: Operation, base: _Request, without: _Request, name: str, value: Any
    ) -> bool:
        """Whether a list of records of another type shows a difference; the stored records say which lists to read."""
        self._send(operation, without)
        before = self._server.sandbox.dump()
        self._send(operation, base, item={name: value})
        after = self._server.sandbox.dump()
        changed = {
            key: [row for row in after[key] if row not in before.get(key, [])]
            for key in after
            if after[key] != before.get(key)
        }
        found: list[dict[str, Any]] = []
        for request, item in ((base, {name: value}), (without, {})):
            self._send(operation, request, item=item)
            found.append({key: self._listed(key, rows) for key, rows in changed.items()})
        return found[0] != found[1]

    def _listed(self, key: str, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
        """Some records as they are read, each by itself."""
        listing, getting = OPERATIONS.get(f"GET /{key}"), OPERATIONS.get(f"GET /{key}/{{id}}")
        if getting is not None:
            every = self._everything(getting)
            return [self._server.send("GET", f"/{key}/{row['id']}", every).body for row in rows[:5]]
        if listing is None:
            return []
        needed = {name: p for name, p in listing.query.items() if p.required}
        return [
            self._server.send(
                "GET",
                listing.path,
                widest(listing) | {n: row.get(n) or 1 for n in needed} | {"only": row["id"]},
            ).body
            for row in rows[:5]
        ]


def _body(operation: Operation, item: Mapping[str, Any]) -> Any:
    described = operation.body
    if described is None:
        return None
    if described.multipart:
        return _form(item)
    return {described.wrapper: dict(item)} if described.wrapper else dict(item)


_FILES: Mapping[str, tuple[str, str, bytes]] = {
    "csv_file": (
        "records.csv",
        "text/csv",
        b"Project Id,Currency,Period Start Date,Period End Date\n10002,USD,2026-07-01,2026-07-31\n",
    ),
    "user[profile_photo_attachment_file]": ("me.png", "image/png", b"\x89PNG\r\n\x1a\n"),
    "attachment[data]": ("note.txt", "text/plain", b"note"),
}


def _form(fields: Mapping[str, Any]) -> tuple[str, bytes]:
    """A multipart form, with a file for each field that is one."""
    boundary, lines = "boundary-of-the-form", b""
    for name, value in fields.items():
        if name in _FILES:
            file, kind, content = _FILES[name]
            head = f'; filename="{file}"\r\ncontent-type: {kind}'
        else:
            head, content = (
                "",
                str(value).lower().encode() if isinstance(value, bool) else str(value).encode(),
            )
        lines += f'--{boundary}\r\ncontent-disposition: form-data; name="{name}"{head}\r\n\r\n'.encode()
        lines += content + b"\r\n"
    return f"multipart/form-data; boundary={boundary}", lines + f"--{boundary}--\r\n".encode()
