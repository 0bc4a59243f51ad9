"""Reads lists in another process, so that decoding JSON and storing rows share no interpreter lock.

The other process has a `Reader`. What it puts into the queues of its lists, and its counters, are sent through a pipe.
"""

from __future__ import annotations

import gc
import logging
import multiprocessing
import pickle
import signal
import threading
from collections import deque
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING, Any, Self, cast

from kantata_client.errors import KantataError
from kantata_client.sync.catalog import lists
from kantata_client.sync.progress import Progress
from kantata_client.sync.reader import Message, Reader, Reading, Rows, counting_client

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from datetime import datetime
    from multiprocessing.connection import Connection
    from multiprocessing.context import SpawnProcess

    from kantata_client.sync.catalog import ListSpec
    from kantata_client.sync.reader import Deleted

logger = logging.getLogger("kantata_client")

_GARBAGE = 50_000
"""New objects after which the garbage collector runs; those of a page, of which there are thousands, have no cycles."""
_END_SECONDS = 5
"""Seconds that the other process has to end."""
_STOP_SECONDS = 0.1
"""Time after which a stop of the sync reaches the other process."""


class ProcessReader:
    """A reader in another process, with a client from the environment."""

    def __init__(self, names: Sequence[str], rate: float | None, progress: Progress) -> None:
        self._names = names
        self._rate = rate
        self._progress = progress
        self._users = 0
        self._numbers = count()
        self._queues: dict[int, RemoteQueue] = {}
        self._futures: dict[int, Future[Any]] = {}
        self._deleted: Future[Deleted | None] | None = None
        self._sending = threading.Lock()
        self._is_ready = False
        self._failure: KantataError | None = None
        """Why nothing arrives any more."""
        self._connection: Any  # its class depends on the platform
        self._process: SpawnProcess
        self._receiver: threading.Thread

    @property
    def progress(self) -> Progress:
        """Counters of the sync."""
        return self._progress

    def open(self) -> None:
        """Start the process if it is not running, without waiting for it; see `ListReader.open`."""
        self._users += 1
        if self._users > 1:
            return
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._is_ready = False
        arguments = (theirs, self._names, self._rate)
        self._process = context.Process(
            target=_serve, args=arguments, name="kantata-sync-reader", daemon=True
        )
        with _blocked_signals():
            self._process.start()
        theirs.close()

    def wait(self) -> None:
        """Wait until the process has a client.

        Raises:
            KantataError: The client can't be made, for example without a token.
        """
        try:
            _, failure = self._connection.recv()
        except EOFError:
            failure = _ended()
        if failure is not None:
            raise failure
        self._is_ready = True
        self._receiver = threading.Thread(target=self._receive, name="kantata-sync-receiver", daemon=True)
        self._receiver.start()

    def close(self) -> None:
        """End the process when its last user closes it."""
        self._users -= 1
        if self._users:
            return
        self._send("close")
        if self._is_ready:
            self._receiver.join()
        self._deleted = None
        self._connection.close()
        self._process.join(_END_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(
        self,
        spec: ListSpec,
        since: datetime | None,
        saved: Mapping[str, Any] | None,
        nested: frozenset[str] = frozenset(),
    ) -> RemoteQueue:
        """Begin to read a list; see `ListReader.read`."""
        number = next(self._numbers)
        queue = self._queues[number] = RemoteQueue(self, number)
        self._send("read", number, spec.name, since, saved, nested)
        if self._failure is not None:
            queue.messages.append(self._failure)
        return queue

    def existing_ids(self, spec: ListSpec, ids: list[str], part: str | None) -> Future[set[str]]:
        """Find out which of the ids the service still has."""
        return self._ask("existing_ids", spec.name, ids, part)

    def deleted_records(self, since: datetime) -> Future[Deleted | None]:
        """Read deletions from the change feed; see `ListReader.deleted_records`."""
        if self._deleted is None:
            self._deleted = self._ask("deleted_records", since)
        return self._deleted

    def give(self, size: int) -> None:
        """Give room in the queues back."""
        self._send("give", size)

    def drop(self, number: int) -> None:
        """End a walk."""
        self._queues.pop(number, None)
        self._send("drop", number)

    def _ask(self, what: str, *arguments: Any) -> Future[Any]:
        number = next(self._numbers)
        future: Future[Any] = Future()
        self._futures[number] = future
        self._send(what, number, *arguments)
        if self._failure is not None:
            self._fail(future, self._failure)
        return future

    @staticmethod
    def _fail(future: Future[Any], error: KantataError) -> None:
        with suppress(InvalidStateError):
            future.set_exception(error)

    def _send(self, *message: Any) -> None:
        with self._sending, suppress(OSError):  # if the process has ended, `_receive` fails what waits for it
            self._connection.send(message)

    def _receive(self) -> None:
        """Distribute what arrives, until the other end closes the pipe."""
        is_stopped = False
        with suppress(EOFError, OSError):
            while True:
                if self._progress.stopping and not is_stopped:
                    is_stopped = True
                    self._send("stop")
                if self._connection.poll(_STOP_SECONDS):
                    what, *arguments = self._connection.recv()
                    if what == "closed":
                        return
                    getattr(self, f"_on_{what}")(*arguments)
        self._failure = error = _ended()
        for queue in [*self._queues.values()]:
            queue.messages.append(error)
        for future in [*self._futures.values()]:
            self._fail(future, error)

    def _on_message(self, number: int, message: Message) -> None:
        queue = self._queues.get(number)
        if queue is not None:
            queue.messages.append(message)
            if not isinstance(message, Rows):
                del self._queues[number]
        elif isinstance(message, Rows):  # it was dropped in the meantime
            self.give(message.room)

    def _on_result(self, number: int, result: Any, error: Exception | None) -> None:
        future = self._futures.pop(number)
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)

    def _on_count(self, name: str, arguments: tuple[Any, ...]) -> None:
        getattr(self._progress, name)(*arguments)

    def _on_drift(self, text: str) -> None:
        self._progress.drift = text

    def _on_log(self, level: int, text: str) -> None:
        logger.log(level, "%s", text)


def _ended() -> KantataError:
    return KantataError(
        "the process that reads the lists has ended, as if it had been killed: run the command again"
    )


class RemoteQueue:
    """The queue of a list that the other process reads."""

    def __init__(self, reader: ProcessReader, number: int) -> None:
        self._reader = reader
        self._number = number
        self.messages: deque[Message] = deque()

    def poll(self) -> Message | None:
        """Take the next message; `None` if the queue is empty."""
        if not self.messages:
            return None
        message = self.messages.popleft()
        if isinstance(message, Rows):
            self._reader.give(message.room)
        return message

    def drop(self) -> None:
        """End the walk, and give the room of its records back."""
        self._reader.drop(self._number)
        while self.poll() is not None:
            pass


@contextmanager
def _blocked_signals() -> Generator[None]:
    """Start a process that Ctrl-C does not reach before it ignores it; the terminal sends it to both."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    former = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


def ease_garbage_collection() -> None:
    """Keep the garbage collector from visiting the modules, which never become garbage, and let it run less often.

    Without this, it takes a fifth of the time of a sync.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GARBAGE)


# --- the other process ---


def sendable(error: Exception) -> Exception:
    """Return the error, or one with the same message if it can't be sent: not all classes can be pickled."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - these bytes are our own
    except Exception:  # noqa: BLE001 - any class may be in the way, and its error must not replace this one
        return KantataError(f"{type(error).__name__}: {error}")
    return error


class _Counters(Progress):
    """Counters whose changes are sent."""

    def __init__(self, send: Callable[..., None]) -> None:
        super().__init__()
        self._send = send

    def requested(self, name: str) -> None:
        self._send("count", "requested", (name,))

    def limited(self, name: str) -> None:
        self._send("count", "limited", (name,))

    def note(self, name: str, text: str) -> None:
        self._send("count", "note", (name, text))

    def expect(self, name: str, count: int | None, part: str | None) -> None:
        self._send("count", "expect", (name, count, part))


class _Log(logging.Handler):
    """Sends what is logged."""

    def __init__(self, send: Callable[..., None]) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        self._send("log", record.levelno, record.getMessage())


class _SentReading(Reading):
    """A queue whose messages are sent."""

    def __init__(
        self, reader: Reader, spec: ListSpec, nested: frozenset[str], number: int, send: Callable[..., None]
    ) -> None:
        super().__init__(reader, spec, nested)
        self._number = number
        self._send = send

    def put(self, message: Message) -> None:
        self._send("message", self._number, sendable(message) if isinstance(message, Exception) else message)


class _Server:
    """Does what the other side asks for."""

    def __init__(self, connection: Connection[Any, Any], names: Sequence[str], rate: float | None) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self._readings: dict[int, _SentReading] = {}
        self.progress = _Counters(self.send)
        logger.addHandler(_Log(self.send))
        logger.propagate = False
        self.reader = Reader(counting_client(names, self.progress, throttle=rate), self.progress)

    def send(self, *message: Any) -> None:
        """Send a message; nobody receives it if the other side was killed."""
        with self._sending, suppress(OSError):
            self._connection.send(message)

    def run(self) -> None:
        """Serve until the other side closes the pipe, or asks to."""
        try:
            self.reader.open()
        except Exception as error:  # noqa: BLE001 - the other side raises it
            self.send("ready", sendable(error))
            return
        self.send("ready", None)
        with suppress(EOFError, OSError):
            while True:
                what, *arguments = self._connection.recv()
                if what == "close":
                    break
                getattr(self, f"_on_{what}")(*arguments)
        self.progress.stop()
        self.reader.close()
        self.send("drift", self.progress.drift)
        self.send("closed")

    def _on_read(
        self,
        number: int,
        name: str,
        since: datetime | None,
        saved: Mapping[str, Any] | None,
        nested: frozenset[str],
    ) -> None:
        spec = lists()[name]
        reading = self._readings[number] = _SentReading(self.reader, spec, nested, number, self.send)
        self.reader.begin(reading, spec, since, saved)

    def _on_drop(self, number: int) -> None:
        self._readings.pop(number).drop()

    def _on_give(self, size: int) -> None:
        self.reader.give(size)

    def _on_stop(self) -> None:
        self.progress.stop()

    def _on_existing_ids(self, number: int, name: str, ids: list[str], part: str | None) -> None:
        self._answer(number, self.reader.existing_ids(lists()[name], ids, part))

    def _on_deleted_records(self, number: int, since: datetime) -> None:
        self._answer(number, self.reader.deleted_records(since))

    def _answer(self, number: int, future: Future[Any]) -> None:
        def done(future: Future[Any]) -> None:
            error = cast("Exception | None", future.exception())
            self.send("result", number, None if error else future.result(), error and sendable(error))

        future.add_done_callback(done)


def _serve(connection: Connection[Any, Any], names: Sequence[str], rate: float | None) -> None:
    """Run in the other process."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)  # the other side decides when to stop
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
    ease_garbage_collection()
    with connection:
        _Server(connection, names, rate).run()
