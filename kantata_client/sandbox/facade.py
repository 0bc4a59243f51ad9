"""The class `Sandbox`: an account's records, the application that serves them, a client and a server."""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from kantata_client._http.addresses import loopback
from kantata_client._http.transport import LARGEST
from kantata_client._lazy import resolvable
from kantata_client.errors import UsageError
from kantata_client.sandbox import schema
from kantata_client.sandbox.asgi import RecordedRequest, make_app
from kantata_client.sandbox.authorization import OAuthServer
from kantata_client.sandbox.clock import Clock
from kantata_client.sandbox.faults import Faults, FaultyTransport
from kantata_client.sandbox.feed import Feed
from kantata_client.sandbox.gaps import Gaps
from kantata_client.sandbox.persistence import Database
from kantata_client.sandbox.rate_limits import RateLimits
from kantata_client.sandbox.relations import blank
from kantata_client.sandbox.schema import BASE_PATH
from kantata_client.sandbox.serving import Server
from kantata_client.sandbox.store import Store
from kantata_client.sandbox.time_zones import zone_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from pathlib import Path

    from starlette.types import ASGIApp

    from kantata_client import Kantata
    from kantata_client._calls.drift import OnDrift
    from kantata_client._http.messages import Timeouts
    from kantata_client._http.retry import RetryPolicy
    from kantata_client._http.throttle import Throttle
    from kantata_client._http.tokens import TokenProvider
    from kantata_client.hooks import Hooks
    from kantata_client.sandbox.records import Record
    from kantata_client.sandbox.store import Rows

REMEMBERED_REQUESTS = 10_000


@resolvable
class Sandbox:
    """An emulated Kantata account.

    A page of more than 200 records is refused with 400; what the service does is not documented.
    """

    app: ASGIApp
    """The ASGI application."""
    store: Store
    """The records, for tests to inspect."""
    feed: Feed
    """The change feed; `sandbox.feed.disturb(…)` delays, duplicates and shuffles its events."""
    oauth: OAuthServer
    """The authorization server; it has the application `sandbox-app` with the secret `sandbox-secret`."""
    requests: deque[RecordedRequest]
    """The last 10,000 requests, oldest first."""
    clock: Clock
    """The time of writes and tokens: `sandbox.clock.set(…)` stops it, `advance(seconds)` moves it."""
    gaps: Gaps
    """What a lenient sandbox ignored: one line per unknown parameter, property and so on."""
    limits: RateLimits
    """Rate limits, such as `sandbox.limits.general(100, seconds=60)`; none at first."""
    faults: Faults
    """Faults to inject, such as `sandbox.faults.reset(committed=True, method="POST")`."""

    def __init__(
        self,
        seed: Literal["demo", "empty"] | None = "demo",
        *,
        entries: int | None = None,
        records: Mapping[str, Iterable[Mapping[str, Any]]] | None = None,
        persist: str | Path | None = None,
        token: str = "sandbox-token",  # noqa: S107 - it opens nothing but this emulator
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        strict: bool = True,
        references: Literal["documented", "always"] | None = None,
        time_zone: str | None = None,
        progress: Callable[[float], None] = lambda share: None,
    ) -> None:
        """Create an account.

        Args:
            seed: `demo` is a consultancy with 60 users, 40 projects, 2,000 tasks and 20,000 time entries, and
                a few archived projects, whose work ends yesterday by `clock`; the same day gives the same records
                everywhere. `empty` (or None) has only the token's user.
            entries: The number of time entries in the demo account, 20,000 (default) to 1,000,000. A million take
                400 MB, and some seconds to make.
            records: Records of your own instead of a seed, by envelope key, such as
                `{"users": [{"id": 1, "full_name": "Ada"}]}`. Missing fields are empty and missing ids are
                generated; the token belongs to the first user.
            persist: An SQLite file in which the records are kept. If it has records, they replace the seed.
            token: The token that the API accepts.
            clock: Returns the time of each write, as an aware datetime.
            strict: Whether requests that the contract does not describe are refused, which finds mistakes. False
                answers them as the vendor's public server library does, and notes in `gaps` what was ignored: for clients
                that you can't change.
            references: When an object shows the ids of other objects. `documented` follows the contract: only when
                `include` names them. `always` always shows references to a single object, as the server library
                does. A program that works with the first works with both. Default: `documented` if strict, else `always`.
            time_zone: The zone of the times in responses, such as `America/Denver`, or an offset such as `-07:00`: the
                service writes times with offsets, too. Default: UTC, written with `Z`.
            progress: Called with the share of the account that is made, 0 to 1, if `entries` is given.

        Raises:
            UsageError: `seed` or `time_zone` is unknown, the records violate the contract, or the file can't be used.
        """
        self.clock = Clock(clock)
        self._zone = None if time_zone is None else zone_of(time_zone)
        self._seed = seed, records
        self._entries = entries
        self._progress = progress
        self._last_day = self.clock().date() - timedelta(days=1)
        self._check_entries(persist)
        self.store = Store(
            self._start(),
            clock=self.clock,
            references=references or ("documented" if strict else "always"),
            blank=blank,
            check=_check_record,
        )
        if persist is not None:
            self.store.keep_in(Database(persist))
        self.store.feed = self.feed = Feed(self.store, self.clock)
        self.token = token
        self.requests = deque(maxlen=REMEMBERED_REQUESTS)
        owner = self._owner()
        self.oauth = OAuthServer(self.store, token, owner, self.clock)
        self.faults = Faults(self.requests)
        self.gaps = Gaps()
        self.limits = RateLimits()
        self._strict = strict
        self._warm_up(owner)
        self.app = self._app(control=True)

    def __repr__(self) -> str:
        return f"<Sandbox {self.store!r}>"

    def _app(self, *, control: bool, from_anywhere: bool = False) -> ASGIApp:
        from kantata_client.sandbox import control as controls

        routes = controls.routes(self) if control else ()
        api = make_app(
            self.store,
            self.oauth,
            self.requests,
            self.gaps,
            self.limits,
            strict=self._strict,
            zone=self._zone,
            control=routes,
        )
        api.state.control_from_anywhere = from_anywhere
        return self.faults.around(api)

    def _check_entries(self, persist: str | Path | None) -> None:
        from kantata_client.sandbox import demo

        if self._entries is None:
            return
        if not demo.ENTRIES <= self._entries <= demo.MOST_ENTRIES:
            raise UsageError(
                f"`entries` must be {demo.ENTRIES:,} to {demo.MOST_ENTRIES:,}, got {self._entries:,}.",
                consequence="",
            )
        if self._seed != ("demo", None) or persist is not None:
            raise UsageError(
                "`entries` needs `seed='demo'`, without `records` and `persist`.", consequence=""
            )

    def _warm_up(self, owner: str) -> None:
        """Make the columns of a large list beforehand, so that its first pages take no longer than the others."""
        from kantata_client.operations.time_entries import LIST
        from kantata_client.sandbox.query import prepare
        from kantata_client.sandbox.scope import Scope

        if self._entries is not None:
            for share in prepare(Scope(self.store, owner), LIST, "time_entries"):
                self._progress((1 + share) / 2)
            columns = self.store.columns("time_entries")
            if columns is not None:
                columns.numbers("time_in_minutes")

    def _start(self) -> Mapping[str, Rows]:
        """The initial records."""
        from kantata_client.sandbox import demo, seeds

        seed, records = self._seed
        if seed not in ("demo", "empty", None):
            raise UsageError(f"`seed` must be 'demo' or 'empty', got {seed!r}.", consequence="")
        if records is not None:
            return seeds.complete(records, schema.written(self.clock()))
        if seed != "demo":
            return demo.empty()
        if self._entries is not None:
            return demo.large(self._last_day, self._entries, lambda share: self._progress(share / 2))
        return demo.by_id(self._last_day)

    def _owner(self) -> str:
        """The id of the token's user: the demo account's owner, or else the first user."""
        from kantata_client.sandbox import demo

        users = self.store.ids("users")
        return demo.OWNER if demo.OWNER in users or not users else users[0]

    def reset(
        self,
        seed: Literal["demo", "empty"] | None = None,
        records: Mapping[str, Iterable[Mapping[str, Any]]] | None = None,
    ) -> None:
        """Restore the initial records, or load others; clear requests, faults, limits and gaps.

        Args:
            seed: A different seed than the initial one.
            records: Different records, by envelope key.
        """
        former = self._seed
        if seed is not None or records is not None:
            self._seed = seed, records
        try:
            initial = self._start()
        except BaseException:
            self._seed = former
            raise
        with self.store.lock:
            self.store.reset(initial)
            self.feed.clear()
            self.requests.clear()
            self.faults.clear()
            self.limits.clear()
            self.gaps.clear()
            self._warm_up(self._owner())

    def dump(self) -> dict[str, list[Record]]:
        """All records by envelope key, in the form of the parameter `records`."""
        with self.store.lock:
            return {key: self.store.all(key) for key in self.store.counts()}

    def client(
        self,
        token: str | Callable[[], str] | Callable[[], Awaitable[str]] | TokenProvider | None = None,
        *,
        timeout: float | Timeouts | None = None,
        retries: RetryPolicy | int | None = None,
        throttle: Throttle | float | None = None,
        max_concurrency: int = 32,
        max_response_bytes: int | None = LARGEST,
        hooks: Hooks | None = None,
        on_drift: OnDrift = "warn",
    ) -> Kantata:
        """A client of this sandbox, without a socket.

        Args:
            token: As for `Kantata`, such as `sandbox.oauth.token_for(user)`. Default: the owner's token.
            timeout: See `Kantata`, like all that follow.
            retries: See `Kantata`.
            throttle: See `Kantata`.
            max_concurrency: See `Kantata`.
            max_response_bytes: See `Kantata`.
            hooks: See `Kantata`.
            on_drift: See `Kantata`.
        """
        from kantata_client import Kantata

        return Kantata(
            self.token if token is None else token,
            base_url=f"http://127.0.0.1{BASE_PATH}",
            transport=FaultyTransport(self.app),
            timeout=timeout,
            retries=retries,
            throttle=throttle,
            max_concurrency=max_concurrency,
            max_response_bytes=max_response_bytes,
            hooks=hooks,
            on_drift=on_drift,
        )

    def serve(
        self,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        control: bool | None = None,
        tls: bool = False,
        names: Iterable[str] = (),
        authority: str | Path | None = None,
    ) -> Server:
        """Serve the sandbox on a socket, inside `async with`; `server.url` and `server.token` are for the client.

        Args:
            host: The address to listen on. Any address other than loopback exposes the sandbox to the network.
            port: The port; 0 takes a free one.
            control: Whether to serve `/__sandbox__/…` and the page at `/`, which give full control of the sandbox to
                anybody who can reach the address. Default: on loopback only.
            tls: Whether to serve https://, with a certificate of a new authority. Clients trust `server.authority`, for
                example by the variable SSL_CERT_FILE. Needs the extra `tls`.
            names: Further host names of the certificate, such as that of a container.
            authority: Where to write the certificate of the authority. Default: a temporary file.

        Raises:
            UsageError: The extra `tls` is missing, or the file can't be written.
        """
        here = loopback(host)
        controlled = here if control is None else control
        app = self.app if here and controlled else self._app(control=controlled, from_anywhere=controlled)
        certificates = None
        if tls:
            from kantata_client.sandbox.certificates import issue

            certificates = issue((*names, host), authority)
        return Server(app, self.token, host, port, certificates)


def _check_record(key: str, record: Record) -> None:
    from kantata_client.sandbox import seeds

    seeds.check(key, record)
