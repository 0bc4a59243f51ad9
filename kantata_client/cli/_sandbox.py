"""The command `kantata sandbox`: the emulator of the API, until it is stopped."""

from __future__ import annotations

from typing import Annotated, Literal

import anyio
import typer

from kantata_client._http.addresses import loopback


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
) -> None:
    """Serve an emulator of the API, and print what points a program at it.

    What is written is kept until it is stopped (Ctrl-C).
    """
    try:
        anyio.run(_serve, seed, host, port, lenient)
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


async def _serve(seed: Literal["demo", "empty"], host: str, port: int, lenient: bool) -> None:
    from kantata_client.sandbox import Sandbox

    async with Sandbox(seed=seed, strict=not lenient).serve(host=host, port=port) as server:
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
