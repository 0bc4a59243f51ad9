"""The process that reads lists for `kantata sync`. `test_command.py` runs whole syncs with it."""

from __future__ import annotations

import logging
import multiprocessing
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from anyio.from_thread import start_blocking_portal

from kantata_client import KantataError
from kantata_client.sandbox import Sandbox
from kantata_client.sync import Progress
from kantata_client.sync.catalog import lists
from kantata_client.sync.process import ProcessReader, sendable
from kantata_client.sync.reader import End, Rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kantata_client.sync.reader import Message, Queue


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    sandbox = Sandbox(seed="demo")
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(sandbox.serve(port=0)) as server,
    ):
        monkeypatch.setenv("KANTATA_BASE_URL", server.url)
        monkeypatch.setenv("KANTATA_ACCESS_TOKEN", sandbox.token)
        yield sandbox


@pytest.fixture
def reader(sandbox: Sandbox) -> Iterator[ProcessReader]:
    with ProcessReader(["users", "stories"], None, Progress()) as reader:
        reader.wait()
        yield reader


def take(queue: Queue) -> Message:
    """Wait for the next message."""
    deadline = time.monotonic() + 60
    while (message := queue.poll()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return message


def test_list_arrives_with_its_counters(sandbox: Sandbox, reader: ProcessReader) -> None:
    queue = reader.read(lists()["stories"], None, None)
    names: list[str] = []
    while isinstance(message := take(queue), Rows):
        names += message.tables["stories"].column("id").to_pylist()
    assert isinstance(message, End)
    assert message.complete
    assert sorted(names) == sorted(sandbox.store.ids("stories"))
    assert message.seen is not None
    assert all(name in message.seen for name in names)
    progress = reader.progress.for_list("stories")
    assert 10 < progress.requests <= len(sandbox.requests)  # the walk's own checks are not counted
    assert progress.expected == len(names)


def test_ids_and_deletions_are_looked_up(sandbox: Sandbox, reader: ProcessReader) -> None:
    present, gone = sandbox.store.ids("stories")[:2]
    sandbox.store.remove("stories", gone)
    found = reader.existing_ids(lists()["stories"], [present, gone], None).result(60)
    assert found == {present} & set(sandbox.store.ids("stories"))
    deleted = reader.deleted_records(datetime.now(UTC) - timedelta(hours=1)).result(60)
    assert deleted is not None
    assert gone in deleted[0]["Story"]


def test_errors_and_warnings_arrive(
    sandbox: Sandbox, reader: ProcessReader, caplog: pytest.LogCaptureFixture
) -> None:
    sandbox.faults.status(403, path="/users", times=100)
    message = take(reader.read(lists()["users"], None, None))
    assert isinstance(message, KantataError)
    assert "403" in str(message)
    sandbox.faults.status(429, path="/stories", times=1)
    with caplog.at_level(logging.WARNING, "kantata_client"):
        queue = reader.read(lists()["stories"], None, None)
        while isinstance(take(queue), Rows):
            pass
    assert "429 for GET /stories" in caplog.text
    assert reader.progress.for_list("stories").limited == 1


def test_stop_reaches_the_process(reader: ProcessReader) -> None:
    reader.progress.stop()
    time.sleep(0.5)
    message = take(reader.read(lists()["stories"], None, None))
    assert isinstance(message, End)
    assert not message.complete


def test_process_that_was_killed_fails_what_waits_for_it(reader: ProcessReader) -> None:
    queue = reader.read(lists()["stories"], None, None)
    process: Any = reader._process  # pyright: ignore[reportPrivateUsage]
    process.kill()
    while isinstance(message := take(queue), Rows):
        pass
    assert "has ended, as if it had been killed: run the command again" in str(message)
    assert isinstance(take(reader.read(lists()["users"], None, None)), KantataError)
    with pytest.raises(KantataError, match="has ended"):
        reader.existing_ids(lists()["users"], ["1"], None).result(60)


def test_missing_token_is_reported(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KANTATA_ACCESS_TOKEN", "")
    with ProcessReader(["users"], None, Progress()) as reader, pytest.raises(KantataError, match="token"):
        reader.wait()


class TwoPartsError(Exception):
    """Can't be unpickled, since its arguments are not those of its constructor."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(f"{first} {second}")


def test_error_that_cannot_be_sent_keeps_its_message() -> None:
    assert str(sendable(TwoPartsError("no", "disk"))) == "TwoPartsError: no disk"
    error = ValueError("no")
    assert sendable(error) is error


def test_reader_that_is_closed_before_it_is_ready_leaves_nothing(
    sandbox: Sandbox, capfd: pytest.CaptureFixture[str]
) -> None:
    with ProcessReader(["users"], None, Progress()):
        pass
    assert multiprocessing.active_children() == []
    assert capfd.readouterr().err == ""
