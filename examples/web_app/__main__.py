"""Run the service: `python -m examples.web_app`.

By default it runs against a sandbox on this machine. To run it against Kantata, register an application with the
redirect URI http://127.0.0.1:8000/callback, and set KANTATA_CLIENT_ID and KANTATA_CLIENT_SECRET.
"""

from __future__ import annotations

import argparse
import os
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio
import uvicorn

from examples.web_app.service import Service
from kantata_client.oauth import Endpoints, OAuthApp

SCOPES = ("api_only", "offline_access")
KANTATA = "https://api.mavenlink.com/api/v1"


async def main(port: int, path: Path) -> None:
    """Serve until interrupted."""
    client_id, secret = os.environ.get("KANTATA_CLIENT_ID"), os.environ.get("KANTATA_CLIENT_SECRET")
    async with AsyncExitStack() as stack:
        base_url, endpoints = KANTATA, None
        if client_id is None:
            from kantata_client.sandbox import Sandbox

            server = await stack.enter_async_context(Sandbox().serve())
            base_url, endpoints = server.url, Endpoints.at(server.url.removesuffix("/api/v1"))
            client_id, secret = "sandbox-app", "sandbox-secret"
        oauth = OAuthApp(
            client_id, secret, f"http://127.0.0.1:{port}/callback", scopes=SCOPES, endpoints=endpoints
        )
        service = Service(oauth, base_url, path)
        print(f"Open http://127.0.0.1:{port}/ (the API is at {base_url}; Ctrl-C stops it)", flush=True)
        # No access log: it would contain the authorization codes of the callbacks.
        config = uvicorn.Config(service.app, "127.0.0.1", port, log_level="warning", access_log=False)
        await uvicorn.Server(config).serve()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument(
        "--database", type=Path, help="file to keep tokens and sessions in; a temporary one by default"
    )
    options = parser.parse_args()
    with TemporaryDirectory() as directory:
        try:
            anyio.run(main, options.port, options.database or Path(directory) / "web_app.sqlite3")
        except KeyboardInterrupt:
            print()
