"""Debian's chromium, driven through chromedriver's WebDriver protocol, which is JSON over HTTP."""

from __future__ import annotations

import base64
import shutil
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Browser:
    """A fresh headless browser, within a `with` block; `log` gets what chromedriver says."""

    def __init__(self, directory: Path) -> None:
        self.log = directory / "chromedriver.log"
        self._profile = directory / "profile"
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._port = free.getsockname()[1]
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{self._port}", timeout=120, trust_env=False)

    def __enter__(self) -> Self:
        program = shutil.which("chromedriver")
        assert program, (
            "This test needs chromium and chromium-driver: apt-get install chromium chromium-driver"
        )
        self._process = subprocess.Popen([program, f"--port={self._port}", f"--log-path={self.log}"])
        try:
            self._wait()
            arguments = [
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--disable-component-update",
                "--no-first-run",
                "--no-proxy-server",
                "--window-size=760,640",
                f"--user-data-dir={self._profile}",
            ]
            options = {"goog:chromeOptions": {"args": arguments}}
            answer = self._call("POST", "/session", {"capabilities": {"alwaysMatch": options}})
            self._session = f"/session/{answer['sessionId']}"
            # Between two pages there are no elements: look-ups wait for them.
            self._call("POST", f"{self._session}/timeouts", {"implicit": 20_000})
        except BaseException:
            self._process.terminate()
            self._process.wait()
            self._http.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._call("DELETE", self._session)
        finally:
            self._process.terminate()
            self._process.wait()
            self._http.close()

    def open(self, url: str) -> None:
        """Go to an address, and wait until the page is there."""
        self._call("POST", f"{self._session}/url", {"url": url})

    @property
    def bar(self) -> str:
        """What the address bar shows."""
        return self._call("GET", f"{self._session}/url")

    @property
    def text(self) -> str:
        """The page, as a person reads it."""
        return self._call("GET", f"{self._session}/element/{self._find('body')}/text")

    def click(self, selector: str) -> None:
        """Click what a CSS selector finds, and wait for the page that follows."""
        before = self._find("html")
        self._call("POST", f"{self._session}/element/{self._find(selector)}/click", {})
        until = time.monotonic() + 30
        while time.monotonic() < until and (self._find("html") == before or not self._loaded):
            time.sleep(0.05)

    def choose(self, selector: str) -> None:
        """Click what leads to no other page, such as an option."""
        self._call("POST", f"{self._session}/element/{self._find(selector)}/click", {})

    def script(self, code: str) -> Any:
        """What a script returns."""
        return self._call("POST", f"{self._session}/execute/sync", {"script": code, "args": []})

    def resize(self, width: int, height: int) -> None:
        """Give the page a size in pixels, as a window or a telephone would."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._devtools("Emulation.setDeviceMetricsOverride", metrics)

    def prefer(self, scheme: str) -> None:
        """Prefer the color scheme `light` or `dark`."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self._devtools("Emulation.setEmulatedMedia", {"features": [feature]})

    def _devtools(self, command: str, parameters: dict[str, Any]) -> None:
        """Send a command of the DevTools protocol."""
        self._call("POST", f"{self._session}/goog/cdp/execute", {"cmd": command, "params": parameters})

    def screenshot(self, path: Path) -> None:
        """Write what is seen as a PNG."""
        path.write_bytes(base64.b64decode(self._call("GET", f"{self._session}/screenshot")))

    @property
    def _loaded(self) -> bool:
        return self.script("return document.readyState") == "complete"

    def _find(self, selector: str) -> str:
        query = {"using": "css selector", "value": selector}
        return self._call("POST", f"{self._session}/element", query)[_ELEMENT]

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._http.request(method, path, json=body)
        value = answer.json()["value"]
        assert answer.is_success, f"{method} {path}: {value}"
        return value

    def _wait(self) -> None:
        until = time.monotonic() + 30
        while True:
            try:
                self._http.get("/status")
            except httpx.TransportError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)
            else:
                return
