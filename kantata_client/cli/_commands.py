"""The commands login, logout, whoami, token and env; others have modules of their own."""

from __future__ import annotations

import os
import re
import shlex
import sys
import threading
import webbrowser
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import anyio
import typer
from rich.console import Console

from kantata_client import Kantata, KantataError, OAuthError
from kantata_client._http.tokens import ENVIRONMENT_VARIABLE, Secret
from kantata_client.cli._callback import CallbackServer
from kantata_client.cli._events import events
from kantata_client.cli._sandbox import sandbox
from kantata_client.cli._sync import sync
from kantata_client.errors.responses import visible
from kantata_client.oauth.profiles import PROFILE, SECRET, Profile, valid
from kantata_client.oauth.profiles import secret as secret_of_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

PORT = 8484
Shell: TypeAlias = Literal["sh", "fish", "powershell"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,  # they could hold a token
    help="Sign in to Kantata OX and use its API.",
)
app.command()(sandbox)
app.command()(sync)
app.add_typer(events, name="events")
_errors = Console(stderr=True, highlight=False)

ProfileName = Annotated[
    str,
    typer.Option("--profile", envvar=PROFILE, help="Name of the signed-in user to act as."),
]


def _show_version(requested: bool) -> None:
    if requested:
        from kantata_client import __version__

        typer.echo(f"kantata-client {__version__}")
        raise typer.Exit


@app.callback()
def _group(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit."),
    ] = False,
) -> None:
    """Sign in to Kantata OX and use its API."""


@app.command()
def login(
    client_id: Annotated[
        str, typer.Option(envvar="KANTATA_CLIENT_ID", prompt=True, help="Id of the registered application.")
    ],
    profile: ProfileName = "default",
    scope: Annotated[
        list[str] | None, typer.Option(help="Scope to request; repeat the option for several.")
    ] = None,
    port: Annotated[
        int,
        typer.Option(
            envvar="KANTATA_LOGIN_PORT",
            min=1,
            max=65535,
            help="The redirect URI to register is http://127.0.0.1:PORT/callback.",
        ),
    ] = PORT,
    server: Annotated[
        str | None,
        typer.Option(
            envvar="KANTATA_SERVER", help="Origin of another server, such as a sandbox's. Default: Kantata."
        ),
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open a browser, or only print the address to visit.")] = True,
    keyring: Annotated[
        bool, typer.Option(help="Keep the token in the desktop's keyring instead of a file.")
    ] = False,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait for the browser to return.")] = 300,
) -> None:
    """Sign in with a browser, and store the token.

    The application's secret is read from the environment variable KANTATA_CLIENT_SECRET, or prompted for. It is not an
    option, because all users of a machine can see the arguments of a process. It is not stored.
    """
    with _errors_printed():
        if not valid(profile):
            raise OAuthError(f"A profile's name may contain only letters, digits, - and _, got {profile!r}.")
        chosen = Profile(
            profile, client_id, server.rstrip("/").removesuffix("/api/v1") if server else None, keyring
        )
        name = anyio.run(_login, chosen, _secret(ask=True), scope or [], port, browser, timeout)
    typer.echo(f"Signed in as {name}.")


@app.command()
def logout(profile: ProfileName = "default") -> None:
    """Revoke the stored token, and delete it."""
    with _errors_printed():
        stored = Profile.signed_in(profile)
        problem = anyio.run(_logout, stored)
    if problem:
        _errors.print(
            f"The token was deleted from this machine, but could not be revoked: {problem}", markup=False
        )
        raise typer.Exit(1)
    typer.echo("Signed out.")


@app.command()
def whoami(context: typer.Context, profile: ProfileName = "default") -> None:
    """Show which user programs act for, and where the token comes from.

    The environment variable KANTATA_ACCESS_TOKEN comes first, as for programs, unless --profile is given.
    """
    source = context.get_parameter_source("profile")
    chosen = source is not None and source.name == "COMMANDLINE"
    with _errors_printed():
        if not chosen and os.environ.get(ENVIRONMENT_VARIABLE):
            name, base_url = anyio.run(_whoami_by_variables)
            where = f"the variable {ENVIRONMENT_VARIABLE}"
        else:
            stored = Profile.signed_in(profile)
            name, base_url, where = anyio.run(_whoami, stored), stored.base_url, f"profile {profile}"
    typer.echo(f"{name} at {base_url} (token from {where})")


@app.command()
def token(profile: ProfileName = "default") -> None:
    """Print the access token, for other programs: KANTATA_ACCESS_TOKEN=$(kantata token)."""
    with _errors_printed():
        stored = Profile.signed_in(profile)
        found = anyio.run(_token, stored)
    if stored.server:
        _errors.print(
            f"This token is for {stored.base_url}, not for Kantata: set KANTATA_BASE_URL as well, or use kantata env.",
            markup=False,
            soft_wrap=True,
        )
    sys.stdout.write(f"{found.reveal()}\n")


@app.command()
def env(
    profile: ProfileName = "default",
    shell: Annotated[
        Shell,
        typer.Option(
            help="Syntax to print: sh (also bash and zsh), fish, as in `kantata env --shell fish | source`, or powershell, "
            "as in `kantata env --shell powershell | Out-String | Invoke-Expression`."
        ),
    ] = "sh",
) -> None:
    """Print the variables for other programs, with token and server: eval "$(kantata env)"."""
    with _errors_printed():
        stored = Profile.signed_in(profile)
        found = anyio.run(_token, stored)
    assign = _ASSIGNMENTS[shell]
    sys.stdout.write(f"{assign(ENVIRONMENT_VARIABLE, found.reveal())}\n")
    sys.stdout.write(f"{assign('KANTATA_BASE_URL', stored.base_url)}\n")


def _sh(name: str, value: str) -> str:
    return f"export {name}={shlex.quote(value)}"


def _fish(name: str, value: str) -> str:
    quoted = value.replace("\\", r"\\").replace("'", r"\'")
    return f"set -gx {name} '{quoted}'"


def _powershell(name: str, value: str) -> str:
    quoted = re.sub("(['\\u2018-\\u201b])", r"\1\1", value)  # PowerShell ends text at typographic quotes, too
    return f"$env:{name} = '{quoted}'"


_ASSIGNMENTS: dict[Shell, Callable[[str, str], str]] = {"sh": _sh, "fish": _fish, "powershell": _powershell}


async def _login(
    profile: Profile, secret: Secret | None, scopes: list[str], port: int, browser: bool, timeout: float
) -> str:
    redirect_uri = f"http://127.0.0.1:{port}/callback"
    await profile.check_keyring()
    async with profile.app(secret.reveal() if secret else None, redirect_uri, scopes) as oauth:
        request = oauth.authorization_url()
        with CallbackServer(request, redirect_uri, starts=browser) as callback:
            if browser:
                # In a thread of its own: some browsers run in the foreground until the user closes them.
                threading.Thread(target=webbrowser.open, args=(callback.start_url,), daemon=True).start()
                _errors.print(
                    "Your browser should open. If it does not, open this address in a browser on this machine:"
                )
            else:
                _errors.print("Open this address in a browser on this machine:")
            _errors.print(request.url, markup=False, soft_wrap=True)
            try:
                returned = await anyio.to_thread.run_sync(callback.wait, timeout, abandon_on_cancel=True)
                stored = await oauth.exchange(returned.reveal(), request)
                name = await _name_of(profile, stored.access_token)
                await profile.replace(Profile.load(profile.name), stored)
            except KantataError as error:
                callback.show(ok=False, text=str(error))
                raise
            callback.show(
                ok=True, text=f"Welcome, {name}. You can close this page and go back to the terminal."
            )
    return name


async def _logout(profile: Profile) -> str | None:
    problem = None
    store = profile.store
    stored = await store.load(profile.key)
    if stored is not None:
        secret = _secret(ask=False)
        async with profile.app(secret.reveal() if secret else None) as oauth:
            try:
                await oauth.revoke(stored)
            except KantataError as error:
                problem = f"{error} Set {SECRET}, or revoke it in Kantata's own settings."
    await store.delete(profile.key)
    profile.delete()
    return problem


async def _whoami(profile: Profile) -> str:
    secret = _secret(ask=False)
    async with (
        profile.app(secret.reveal() if secret else None) as oauth,
        Kantata(profile.token(oauth), base_url=profile.base_url) as kantata,
    ):
        return await _name_at(kantata)


async def _whoami_by_variables() -> tuple[str, str]:
    async with Kantata() as kantata:
        return await _name_at(kantata), kantata.base_url


async def _token(profile: Profile) -> Secret:
    secret = _secret(ask=False)
    async with profile.app(secret.reveal() if secret else None) as oauth:
        return Secret(await profile.token(oauth).token())


async def _name_of(profile: Profile, access_token: str) -> str:
    async with Kantata(access_token, base_url=profile.base_url) as kantata:
        del access_token
        return await _name_at(kantata)


async def _name_at(kantata: Kantata) -> str:
    me = await kantata.users.me()
    return visible(me.full_name or f"user {me.id}")


def _secret(*, ask: bool) -> Secret | None:
    """The application's secret, or None for a public client."""
    value = secret_of_environment()
    if SECRET not in os.environ and ask and sys.stdin.isatty():
        value = typer.prompt(
            "Client secret (empty for none)", default="", hide_input=True, show_default=False
        )
    return Secret(value) if value else None


@contextmanager
def _errors_printed() -> Generator[None]:
    """Print a `KantataError` without a traceback, and exit with 1."""
    try:
        yield
    except KantataError as error:
        _errors.print(str(error), markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
