"""The web server on loopback that the browser returns to after a sign-in."""

from __future__ import annotations

import html
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from secrets import compare_digest
from typing import TYPE_CHECKING, cast
from urllib.parse import parse_qs, urlsplit

from kantata_client._http.tokens import Secret
from kantata_client.errors import OAuthError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from kantata_client.oauth import AuthorizationRequest

_RESULT = "/done"
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 1.1rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 15vh auto; padding: 0 1rem; color:
#222 }} h1 {{ font-size: 1.5rem; color: {color} }}
</style>
</head>
<body><h1>{title}</h1><p>{text}</p></body>
</html>
"""


class CallbackServer:
    """Listens at a redirect URI such as `http://127.0.0.1:8484/callback` during a `with` block."""

    def __init__(self, request: AuthorizationRequest, redirect_uri: str, *, starts: bool) -> None:
        """Prepare to listen.

        Args:
            request: The sign-in.
            redirect_uri: The address to listen at.
            starts: Whether a browser will be sent to `start_url`.
        """
        parts = urlsplit(redirect_uri)
        self.path = parts.path
        self.request = request
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._callback: Secret | None = None
        self._start = threading.Semaphore(1) if starts else None
        self._returned = threading.Event()
        self._decided = threading.Event()
        self._shown = threading.Event()
        self._outcome: tuple[bool, str] = (False, "The sign-in was interrupted.")
        self._server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        problem = None
        try:
            self._server = _Listener((self._host, self._port), self)
        except OSError as error:
            problem = error.strerror
        if self._server is None:
            raise OAuthError(
                f"Port {self._port} of {self._host} cannot be used ({problem}): stop the program that uses it, "
                "or choose another port with --port, and register its redirect URI too."
            )
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server  # noqa: S101 - set by __enter__
        if not self._decided.is_set():
            self.show(ok=False, text="The sign-in was interrupted. Start it again.")
        if self._callback is not None:
            self._shown.wait(5)  # until the browser has shown the outcome
        self._server.shutdown()
        self._server.server_close()

    @property
    def start_url(self) -> str:
        """The address to open in a browser; it redirects to the authorization URL.

        All users of a machine can see the arguments of a process, so these must not include the state. Because other users
        can request this address too, it redirects only once, and a second visitor gets a warning.
        """
        return f"http://{self._host}:{self._port}/"

    def wait(self, seconds: float) -> Secret:
        """Wait for the browser to return.

        Returns:
            The path and query of its request.

        Raises:
            OAuthError: The browser did not return in time.
        """
        if not self._returned.wait(seconds) or self._callback is None:
            raise OAuthError(
                f"Nobody signed in within {seconds:g} seconds: start again, and open the address in a "
                "browser on this machine."
            )
        return self._callback

    def show(self, *, ok: bool, text: str) -> None:
        """Set the text that the browser shows at the end."""
        self._outcome = ok, text
        self._decided.set()

    def answer(self, target: str, host: str | None = None) -> tuple[int, str, str]:
        """The status, redirect target and page for a GET request.

        Any web page in the browser can send requests here, even under a host name of its own that resolves to this machine.
        It does not know the state; requests without it, or for another host, change nothing.

        Args:
            target: The path and query.
            host: The header `Host`.
        """
        path = urlsplit(target).path
        if (host or "").lower() not in (f"{self._host}:{self._port}", f"localhost:{self._port}"):
            text = "Open this address in a browser on this machine, as 127.0.0.1."
            return HTTPStatus.MISDIRECTED_REQUEST, "", _PAGE.format(title="Not here", text=text, color="#222")
        text = "The command kantata waits here for a sign-in."
        if path == "/" and self._start is not None:
            if self._start.acquire(blocking=False):
                return HTTPStatus.SEE_OTHER, self.request.url, ""
            text += (
                " This address has been opened before. If that was not your browser, another user of this machine may be "
                "interfering with the sign-in: stop the command with Ctrl-C, and do not continue."
            )
        if path == self.path and not self._is_expected(target):
            text = "This callback does not belong to the sign-in that is in progress, and was ignored."
            return (
                HTTPStatus.BAD_REQUEST,
                "",
                _PAGE.format(title="Not this sign-in", text=text, color="#a12622"),
            )
        if path == self.path:
            if not self._returned.is_set():
                self._callback = Secret(target)
                self._returned.set()
            # A redirect, so that neither the address bar nor the history keeps the code.
            return HTTPStatus.SEE_OTHER, _RESULT, ""
        if path == _RESULT and self._returned.is_set():
            self._decided.wait(90)
            ok, text = self._outcome
            title = "You are signed in" if ok else "The sign-in failed"
            color = "#1a6e35" if ok else "#a12622"
            return HTTPStatus.OK, "", _PAGE.format(title=title, text=html.escape(text), color=color)
        return HTTPStatus.NOT_FOUND, "", _PAGE.format(title="Not found", text=text, color="#222")

    def _is_expected(self, target: str) -> bool:
        """Whether a callback has the state of this sign-in, exactly once."""
        states = parse_qs(urlsplit(target).query).get("state", [])
        expected = self.request.state.encode()
        return len(states) == 1 and compare_digest(states[0].encode("utf-8", "replace"), expected)

    def shown(self, target: str) -> None:
        """Record that the browser has received a page."""
        if urlsplit(target).path == _RESULT:
            self._shown.set()


class _Listener(ThreadingHTTPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, address: tuple[str, int], callback: CallbackServer) -> None:
        self.callback = callback
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        callback = cast("_Listener", self.server).callback
        status, location, page = callback.answer(self.path, self.headers.get("Host"))
        body = page.encode()
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
        self.end_headers()
        self.wfile.write(body)
        callback.shown(self.path)

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing, because the request line contains the code."""
