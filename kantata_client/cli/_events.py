"""The command `kantata events follow`: the change feed as JSON lines."""

from __future__ import annotations

import json
import re
import signal
import sys
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path  # noqa: TC003 - typer reads the annotations
from typing import TYPE_CHECKING, Annotated, Any

import anyio
import typer

from kantata_client import EventsExpiredError, Kantata, KantataError, UsageError
from kantata_client.events import FileCheckpoint, SQLiteCheckpoint

if TYPE_CHECKING:
    from collections.abc import Generator
    from types import FrameType

    from kantata_client.events import Event

events = typer.Typer(no_args_is_help=True, help="Read the account's change feed.")

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@events.callback()
def _group() -> None:
    """Read the account's change feed."""


@events.command()
def follow(
    since: Annotated[
        str | None,
        typer.Option(
            help="Where to begin if there is no checkpoint: a time such as 2026-03-01T00:00:00Z, or an age such as "
            "30m, 12h or 9d. By default now."
        ),
    ] = None,
    types: Annotated[
        list[str] | None,
        typer.Option(
            "--type", help="Event type such as time_entry:deleted; repeat the option for several types."
        ),
    ] = None,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="File that keeps the position between runs; a SQLite database if its name ends in .db or .sqlite."
        ),
    ] = None,
    once: Annotated[bool, typer.Option(help="Print the events up to now, and end.")] = False,
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between two polls.")] = 60,
    skip_expired: Annotated[
        bool,
        typer.Option(
            "--skip-expired",
            help="Continue after more than 9 days without a poll, although the oldest events are lost.",
        ),
    ] = False,
) -> None:
    """Print each event of the change feed once, as a line of JSON, and wait for new ones.

    Needs an account administrator's access token in KANTATA_ACCESS_TOKEN. Ctrl-C or SIGTERM ends it; with a checkpoint, the
    next run continues with the event after the last one that was printed.
    """
    try:
        begin = parse_moment(since)
        with _terminated_like_interrupted():
            anyio.run(_follow, begin, types, checkpoint, once, interval, skip_expired)
    except EventsExpiredError as error:
        typer.echo(f"{error} On the command line that is --skip-expired.", err=True)
        raise typer.Exit(1) from None
    except KantataError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


@contextmanager
def _terminated_like_interrupted() -> Generator[None]:
    """Handle SIGTERM as Ctrl-C: the event loop cancels the program, which then closes the checkpoint."""

    def handle(number: int, frame: FrameType | None) -> None:
        interrupt = signal.getsignal(signal.SIGINT)
        if not callable(interrupt):  # a process in the background of a shell ignores Ctrl-C
            raise KeyboardInterrupt
        interrupt(signal.SIGINT, frame)

    if threading.current_thread() is not threading.main_thread():  # only the main thread receives signals
        yield
        return
    former = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


async def _follow(
    since: datetime | timedelta | None,
    types: list[str] | None,
    checkpoint: Path | None,
    once: bool,
    interval: float,
    skip_expired: bool,
) -> None:
    store = None
    if checkpoint is not None:
        in_database = checkpoint.suffix in (".db", ".sqlite", ".sqlite3")
        store = SQLiteCheckpoint(checkpoint) if in_database else FileCheckpoint(checkpoint)
    async with (
        Kantata() as kantata,
        kantata.subscribed_events.follow(
            since=since,
            types=types or None,
            checkpoint=store,
            wait=not once,
            interval=interval,
            skip_expired=skip_expired,
        ) as feed,
    ):
        async for event in feed:
            sys.stdout.write(json.dumps(event_to_dict(event)) + "\n")
            sys.stdout.flush()


def event_to_dict(event: Event) -> dict[str, Any]:
    """Return an event as JSON values."""
    return {
        "id": event.id,
        "type": event.type,
        "subject_type": event.subject_type,
        "subject_id": event.subject_id,
        "changed_at": event.changed_at.isoformat() if event.changed_at else None,
        "written_at": event.written_at.isoformat(),
        "user_id": event.user_id,
        "workspace_id": event.workspace_id,
        "before": event.before.to_dict() if event.before else None,
        "after": event.after.to_dict() if event.after else None,
        "changes": event.changes,
    }


def parse_moment(text: str | None) -> datetime | timedelta | None:
    """Parse an option that is a time or a duration.

    Returns:
        A time with a zone (UTC if the text names none), a duration, or `None` if the option is missing.

    Raises:
        UsageError: The text is neither.
    """
    if text is None:
        return None
    duration = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text)
    if duration:
        try:
            return timedelta(**{_UNITS[duration[2]]: float(duration[1])})
        except OverflowError:
            msg = f"{text!r} is longer than any duration in Python: give a time instead"
            raise UsageError(msg) from None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        msg = f"{text!r} is neither a time such as 2026-03-01T00:00:00Z nor a duration such as 30m, 12h or 9d"
        raise UsageError(msg) from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
