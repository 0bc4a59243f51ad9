"""The service's HTML."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse

if TYPE_CHECKING:
    from kantata_client.models import User, Workspace

_STYLE = """
body { font: 1rem/1.5 system-ui, sans-serif; color: #1d2733; max-width: 46rem; margin: 3rem auto; padding: 0
1rem } table { border-collapse: collapse; width: 100% } th, td { text-align: left; padding: .35rem .6rem;
border-bottom: 1px solid #d8dee6 } a.button, button { font: inherit; background: #1f6feb; color: #fff; border:
0; border-radius: .4rem; padding: .5rem 1.2rem;
  text-decoration: none; display: inline-block }
form { display: inline-block; margin: 1rem .5rem 0 0 } .notice { background: #fdf0d5; padding: .6rem 1rem;
border-radius: .4rem }
"""
_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
    "referrer-policy": "same-origin",
}


def start_page(notice: str | None) -> HTMLResponse:
    """The page with the button to sign in."""
    message = f'<p class="notice">{escape(notice)}</p>' if notice else ""
    return _page(
        "Your projects", f'{message}<p><a class="button" href="/sign-in">Sign in with Kantata</a></p>'
    )


def projects_page(user: User, projects: list[Workspace], total: int) -> HTMLResponse:
    """The page with a user's projects."""
    rows = "".join(
        f"<tr><td>{escape(project.title or '')}</td><td>{escape(str(project.start_date or ''))}</td>"
        f"<td>{escape(str(project.due_date or ''))}</td></tr>"
        for project in projects
    )
    return _page(
        f"Projects of {user.full_name}",
        f"<p>{len(projects)} of "
        f"{total}</p><table><tr><th>Project</th><th>Start</th><th>Due</th></tr>{rows}</table>"
        '<form method="post" action="/sign-out"><button>Sign out</button></form>'
        '<form method="post" action="/disconnect"><button>Revoke the permission</button></form>',
    )


def _page(title: str, body: str) -> HTMLResponse:
    return HTMLResponse(
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>{body}</body></html>",
        headers=_HEADERS,
    )
