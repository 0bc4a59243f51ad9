"""The command `kantata sandbox`: the emulator of the API, until it is stopped."""

from __future__ import annotations

from collections.abc import Callable  # noqa: TC003 - typer resolves annotations
from datetime import UTC, datetime
from typing import Annotated, Literal

import anyio
import typer

from kantata_client._http.addresses import loopback

_STATUSES = ("429", "500", "502", "503", "504")


def sandbox(
    seed: Annotated[
        Literal["demo", "empty"], typer.Option(help="A consultancy's account, or one with its user only.")
    ] = "demo",
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8480,
    lenient: Annotated[
        bool,
        typer.Option(
            "--lenient", help="Ignore what the contract does not describe, as the service's library does."
        ),
    ] = False,
    now: Annotated[
        datetime | None,
        typer.Option(help="Time (UTC) that the sandbox's clock starts at. Default: this machine's time."),
    ] = None,
    latency: Annotated[float, typer.Option(min=0, help="Seconds by which each answer is delayed.")] = 0.0,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND[:CHANCE]",
            help="A fault and its probability (default 0.1): reset, timeout, cut, 429, 500, 502, 503 or 504. Repeatable.",
        ),
    ] = None,
) -> None:
    """Serve an emulator of the API, and print what points a program at it.

    What is written is kept until it is stopped (Ctrl-C).
    """
    faults = [_fault(text) for text in fault or ()]
    try:
        anyio.run(_serve, seed, host, port, lenient, now, latency, faults)
    except ModuleNotFoundError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    except OSError as error:
        typer.echo(
            f"{host}:{port} can't be listened on ({error.strerror}): try another one, --port 0 takes a free one.",
            err=True,
        )
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        typer.echo("Stopped.", err=True)


def _fault(text: str) -> tuple[str, float]:
    """The kind and the probability in the value of `--fault`."""
    kind, _, chance = text.partition(":")
    try:
        probability = float(chance) if chance else 0.1
    except ValueError:
        probability = -1.0
    if kind not in ("reset", "timeout", "cut", *_STATUSES) or not 0 < probability <= 1:
        raise typer.BadParameter(
            f"{text!r}: give reset, timeout, cut, 429, 500, 502, 503 or 504, and after a colon a probability up to 1.",
            param_hint="--fault",
        )
    return kind, probability


def _clock(now: datetime | None) -> Callable[[], datetime]:
    if now is None:
        return lambda: datetime.now(UTC)
    moved = now.replace(tzinfo=UTC) - datetime.now(UTC)
    return lambda: datetime.now(UTC) + moved


async def _serve(
    seed: Literal["demo", "empty"],
    host: str,
    port: int,
    lenient: bool,
    now: datetime | None,
    latency: float,
    faults: list[tuple[str, float]],
) -> None:
    from kantata_client.sandbox import Sandbox

    sandbox = Sandbox(seed=seed, strict=not lenient, clock=_clock(now))
    if latency:
        sandbox.faults.latency(latency)
    for kind, chance in faults:
        if kind in _STATUSES:
            sandbox.faults.status(int(kind), chance=chance, times=None)
        elif kind == "cut":
            sandbox.faults.cut(chance=chance, times=None)
        elif kind == "reset":
            sandbox.faults.reset(chance=chance, times=None)
        else:
            sandbox.faults.timeout(chance=chance, times=None)
    async with sandbox.serve(host=host, port=port) as server:
        typer.echo(f"export KANTATA_BASE_URL={server.url}")
        typer.echo(f"export KANTATA_ACCESS_TOKEN={server.token}")
        open_to_all = warning(host)
        if open_to_all:
            typer.echo(open_to_all, err=True)
        typer.echo("Serving until Ctrl-C.", err=True)
        await anyio.sleep_forever()


def warning(host: str) -> str | None:
    """What to know of an address that is not of this machine alone."""
    if loopback(host):
        return None
    return (
        f"Listening at {host}: whoever reaches this machine and knows the token can use the sandbox. From other "
        "machines kantata_client refuses plain http://, so there it needs something before it that speaks https://."
    )
