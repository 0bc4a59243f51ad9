"""The command `kantata sandbox`, which serves the emulator of the API until it is stopped."""

from __future__ import annotations

import gc
import signal
import sys
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import anyio
import typer

from kantata_client._http.addresses import loopback
from kantata_client.cli._request_table import console, watch
from kantata_client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Coroutine
    from contextlib import AbstractContextManager

    from kantata_client.sandbox import RecordedRequest, Sandbox, Server

_LOG_SECONDS = 0.2
_LARGE = 100_000
"""Number of time entries from which the command shows how far the account is filled."""
_STATUSES = ("429", "500", "502", "503", "504")


def sandbox(
    seed: Annotated[
        str,
        typer.Option(
            help="`demo` (a consultancy), `empty` (one user only), or a JSON or YAML file of records."
        ),
    ] = "demo",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 picks a free one.")] = 8480,
    token: Annotated[str, typer.Option(help="The token that the API accepts.")] = "sandbox-token",  # noqa: S107
    lenient: Annotated[
        bool,
        typer.Option(
            "--lenient", help="Ignore what the contract does not describe, as the service's library does."
        ),
    ] = False,
    time_zone: Annotated[
        str | None,
        typer.Option(
            metavar="ZONE",
            help="Zone of the times in responses: a name (America/Denver) or an offset (-07:00). Default: UTC.",
        ),
    ] = None,
    persist: Annotated[Path | None, typer.Option(help="SQLite file to keep the records in.")] = None,
    clock: Annotated[datetime | None, typer.Option(help="Stop the clock at this time (UTC).")] = None,
    latency: Annotated[float, typer.Option(min=0, help="Seconds that every request waits.")] = 0,
    now: Annotated[
        datetime | None,
        typer.Option(help="Time (UTC) that the sandbox's clock starts at. Default: this machine's time."),
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND[:CHANCE]",
            help="A fault and its probability (default 0.1): reset, timeout, cut, 429, 500, 502, 503 or 504. Repeatable.",
        ),
    ] = None,
    entries: Annotated[
        int | None, typer.Option(help="Time entries in the demo account, 20,000 to 1,000,000.")
    ] = None,
    rate: Annotated[
        int | None,
        typer.Option(min=1, help="Requests per second; others are answered with 429. Default: no limit."),
    ] = None,
    tls: Annotated[
        bool,
        typer.Option("--tls", help="Serve https:// with a certificate of a new authority (extra `tls`)."),
    ] = False,
    tls_name: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST", help="A further host name of the certificate. Repeatable."),
    ] = None,
    ca_file: Annotated[
        Path, typer.Option(help="Where --tls writes the certificate of the authority.")
    ] = Path("kantata-sandbox-ca.pem"),
    live: Annotated[bool, typer.Option("--live", help="Show a table of the latest requests.")] = False,
    log: Annotated[bool, typer.Option("--log", help="Print a line for each request.")] = False,
    record: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Forward requests to this API instead, record them, and report where it differs from the sandbox.",
        ),
    ] = None,
    replay: Annotated[
        bool, typer.Option("--replay", help="Answer from the file of --cassette instead of emulating.")
    ] = False,
    cassette: Annotated[Path, typer.Option(help="File of --record and --replay.")] = Path(
        "kantata-cassette.jsonl"
    ),
    control: Annotated[
        bool,
        typer.Option(
            "--control", help="Serve /__sandbox__ and the page at / also on addresses other than loopback."
        ),
    ] = False,
) -> None:
    """Serve an emulator of the API, and print what points a program at it.

    What is written is kept until the command is stopped (Ctrl-C), or in the file that `--persist` names. A browser shows the
    records and the requests at the printed address.
    """
    faults = [_fault(text) for text in fault or ()]
    try:
        if record is not None or replay:
            anyio.run(_record, record, cassette, host, port)
            return
        opened = _open(
            seed,
            entries=entries,
            token=token,
            strict=not lenient,
            persist=persist,
            clock=_clock(now or clock),
            time_zone=time_zone,
            progress=_progress(entries or 0),
        )
        if entries is not None and entries >= _LARGE:
            gc.freeze()  # or each full collection goes through the records: 0.1 seconds for a million
        if clock is not None:
            opened.clock.set(clock)
        if latency:
            opened.faults.latency(latency)
        _break(opened, faults)
        if rate is not None:
            opened.limits.general(rate)
        server = opened.serve(
            host=host,
            port=port,
            control=True if control else None,
            tls=tls,
            names=tls_name or (),
            authority=ca_file if tls else None,
        )
        show = watch if live and console().is_terminal else _log if live or log else None
        anyio.run(_serve, opened, server, host, control, show)
    except (ModuleNotFoundError, UsageError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    except OSError as error:
        typer.echo(
            f"{host}:{port} is not available ({error.strerror}): choose another port, or let --port 0 pick a free one.",
            err=True,
        )
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.echo("Stopped.", err=True)


def _progress(entries: int) -> Callable[[float], None]:
    """Print how far a large account is filled."""
    printed = -1

    def report(share: float) -> None:
        nonlocal printed
        percent = int(share * 5) * 20
        if percent > printed and entries >= _LARGE:
            printed = percent
            typer.echo(f"Filling the account with {entries:,} time entries: {percent}%", err=True)

    return report


def _break(opened: Sandbox, faults: list[tuple[str, float]]) -> None:
    """Turn on faults, each with its probability."""
    for kind, chance in faults:
        if kind in _STATUSES:
            opened.faults.status(int(kind), chance=chance, times=None)
        elif kind == "cut":
            opened.faults.cut(chance=chance, times=None)
        elif kind == "reset":
            opened.faults.reset(chance=chance, times=None)
        else:
            opened.faults.timeout(chance=chance, times=None)


def _fault(text: str) -> tuple[str, float]:
    """The kind and the probability in the value of `--fault`."""
    kind, _, chance = text.partition(":")
    try:
        probability = float(chance) if chance else 0.1
    except ValueError:
        probability = -1.0
    if kind not in ("reset", "timeout", "cut", *_STATUSES) or not 0 < probability <= 1:
        raise typer.BadParameter(
            f"{text!r}: pass reset, timeout, cut, 429, 500, 502, 503 or 504, optionally with a probability (503:0.2).",
            param_hint="--fault",
        )
    return kind, probability


def _clock(now: datetime | None) -> Callable[[], datetime]:
    if now is None:
        return lambda: datetime.now(UTC)
    moved = now.replace(tzinfo=UTC) - datetime.now(UTC)
    return lambda: datetime.now(UTC) + moved


def _open(seed: str, **options: Any) -> Sandbox:
    from kantata_client.sandbox import Sandbox, seeds

    if seed in {"demo", "empty"}:
        return Sandbox(cast("Any", seed), **options)
    return Sandbox(records=seeds.read(seed), **options)


async def _serve(
    opened: Sandbox,
    server: Server,
    host: str,
    control: bool,
    show: Callable[[Sandbox], Coroutine[Any, Any, None]] | None,
) -> None:
    with _terminations() as terminations:
        async with server:
            typer.echo(f"export KANTATA_BASE_URL={server.url}")
            typer.echo(f"export KANTATA_ACCESS_TOKEN={server.token}")
            if server.authority is not None:
                typer.echo(f"export SSL_CERT_FILE={server.authority}")
            open_to_all = warning(host, tls=server.authority is not None)
            if open_to_all:
                typer.echo(open_to_all, err=True)
            if control or loopback(host):
                typer.echo(f"Records and requests: {server.url.removesuffix('/api/v1')}/", err=True)
            typer.echo("Serving until Ctrl-C.", err=True)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_until_terminated, terminations, tasks.cancel_scope)
                if show is not None:
                    tasks.start_soon(show, opened)
                await anyio.sleep_forever()


async def _record(target: str | None, cassette: Path, host: str, port: int) -> None:
    """Serve a recorder of `target`, or a replay of the cassette if there is no target."""
    from kantata_client.sandbox import Sandbox, Server
    from kantata_client.sandbox.recording import Recorder, Replay, load

    recorder = None if target is None else Recorder(target, cassette, compare=Sandbox("empty"))
    with _terminations() as terminations:
        async with Server(recorder or Replay(load(cassette)), "", host, port) as server:
            typer.echo(f"export KANTATA_BASE_URL={server.url}")
            action = f"Recording {target} in" if recorder else "Replaying"
            typer.echo(f"{action} {cassette} until Ctrl-C.", err=True)
            try:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(_until_terminated, terminations, tasks.cancel_scope)
                    await anyio.sleep_forever()
            finally:
                for line in recorder.differences if recorder else ():
                    typer.echo(line, err=True)


def _terminations() -> AbstractContextManager[AsyncIterable[object] | None]:
    """Receive SIGTERM, which containers get. `None` on Windows, where no event loop receives signals.

    Entered before the server listens: who has read its address may stop it at once.
    """
    return nullcontext() if sys.platform == "win32" else anyio.open_signal_receiver(signal.SIGTERM)


async def _until_terminated(terminations: AsyncIterable[object] | None, scope: anyio.CancelScope) -> None:
    """Stop on SIGTERM as on Ctrl-C."""
    if terminations is None:
        return
    async for _ in terminations:
        typer.echo("Stopped.", err=True)
        scope.cancel()


async def _log(opened: Sandbox) -> None:
    """Print each request soon after it is received."""
    last: RecordedRequest | None = None
    while True:
        fresh: list[RecordedRequest] = []
        for row in reversed(tuple(opened.requests)):
            if row is last:
                break
            fresh.append(row)
        for row in reversed(fresh):
            query = "&".join(f"{name}={value}" for name, value in row.query)
            typer.echo(f"{row.status} {row.method} {row.path}{f'?{query}' if query else ''}", err=True)
            last = row
        await anyio.sleep(_LOG_SECONDS)


def warning(host: str, *, tls: bool = False) -> str | None:
    """The warning for an address that other machines can reach; None for loopback."""
    if loopback(host):
        return None
    text = f"Listening at {host}: anybody who can reach this machine and knows the token can use the sandbox."
    return text if tls else f"{text} On other machines, kantata_client rejects plain http://: add --tls."
