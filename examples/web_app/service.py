"""The service: sign-in, callback, a user's projects. One client and one pool of connections for all users."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from examples.web_app.database import Database, Session
from examples.web_app.pages import projects_page, start_page
from kantata_client import AuthenticationError, Kantata, KantataError, OAuthError
from kantata_client.stores import StoredToken

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from starlette.requests import Request

    from kantata_client.oauth import OAuthApp

COOKIE = "session"


class Service:
    """The service's routes, its database and its client."""

    def __init__(self, oauth: OAuthApp, base_url: str, path: Path) -> None:
        """Serve the users of `oauth`, with the API at `base_url` and the database in the file `path`."""
        self.oauth = oauth
        self.database = Database(path)
        self.kantata = Kantata(nobody, base_url=base_url)
        self.app = Starlette(
            routes=[
                Route("/", self.start),
                Route("/sign-in", self.sign_in),
                Route("/callback", self.callback),
                Route("/projects", self.projects),
                Route("/sign-out", self.sign_out, methods=["POST"]),
                Route("/disconnect", self.disconnect, methods=["POST"]),
            ],
            lifespan=self._closing,
        )

    async def start(self, request: Request) -> Response:
        """The page for users who are not signed in."""
        session = await self._session(request)
        if session.user_id:
            return RedirectResponse("/projects", 303)
        return start_page(session.notice)

    async def sign_in(self, request: Request) -> Response:
        """Send the browser to Kantata, and remember that this browser asked."""
        sign_in = self.oauth.authorization_url()
        return await self._go(request, sign_in.url, Session(sign_in=sign_in))

    async def callback(self, request: Request) -> Response:
        """Handle the return from Kantata. Whatever the result, the next address does not contain the code."""
        session = await self._session(request)
        try:
            if session.sign_in is None:
                raise OAuthError("This browser did not start a sign-in here.")
            token = await self.oauth.exchange(str(request.url), session.sign_in)
            me = await self.kantata.with_token(token.access_token).users.me()
        except KantataError as error:
            return await self._go(request, "/", Session(notice=str(error)))
        await self.database.save(str(me.id), token)
        return await self._go(request, "/projects", Session(user_id=str(me.id)))

    async def projects(self, request: Request) -> Response:
        """The projects of the signed-in user, read with their own token."""
        session = await self._session(request)
        if session.user_id is None:
            return RedirectResponse("/", 303)
        kantata = self.kantata.with_token(StoredToken(self.database, session.user_id, app=self.oauth))
        try:
            me = await kantata.users.me()
            listed = kantata.workspaces.list(order="title:asc")
            total = await listed.count()
            return projects_page(me, await listed.collect(limit=25), total)
        except (AuthenticationError, OAuthError) as error:
            await self.database.delete(session.user_id)
            return await self._go(request, "/", Session(notice=str(error)))

    async def sign_out(self, request: Request) -> Response:
        """End the session."""
        return await self._go(request, "/", Session(notice="You are signed out."))

    async def disconnect(self, request: Request) -> Response:
        """End the session, and revoke the token."""
        session = await self._session(request)
        notice = "You are signed out, and the permission is revoked."
        token = await self.database.load(session.user_id) if session.user_id else None
        if token and session.user_id:
            try:
                await self.oauth.revoke(token)
            except KantataError as error:
                notice = f"You are signed out, but the permission remains: {error}"
            await self.database.delete(session.user_id)
        return await self._go(request, "/", Session(notice=notice))

    async def _session(self, request: Request) -> Session:
        return await self.database.session(request.cookies.get(COOKIE))

    async def _go(self, request: Request, url: str, session: Session) -> Response:
        """Redirect the browser with a new session, whose cookie nobody can have known before."""
        await self.database.end(request.cookies.get(COOKIE))
        response = RedirectResponse(url, 303, {"cache-control": "no-store"})
        secure = request.url.scheme == "https"
        # Lax, because the way back from Kantata starts on another site.
        response.set_cookie(
            COOKIE, await self.database.begin(session), httponly=True, samesite="lax", secure=secure
        )
        return response

    @asynccontextmanager
    async def _closing(self, app: Starlette) -> AsyncGenerator[None]:
        yield
        await self.kantata.aclose()
        await self.oauth.aclose()
        await self.database.aclose()


def nobody() -> str:
    """The token of a request that names no user."""
    raise OAuthError("This request has no user: send it with kantata.with_token(...).")
