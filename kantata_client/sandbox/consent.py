"""The HTML of the consent page."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_MEANINGS = {
    "api_only": "Read and change what you can see in the account",
    "openid": "Know who you are",
    "email": "See your e-mail address",
    "profile": "See your name and photo",
    "mcp": "Use the account through tools of a language model",
    "offline_access": "Stay signed in until you revoke access",
}
_STYLE = """
body { font: 1rem/1.5 system-ui, sans-serif; background: #eef1f5; color: #1d2733; margin: 0 }
main { background: #fff; max-width: 27rem; margin: 5vh auto; padding: 1rem 2rem; border-radius: .6rem
} h1 { font-size: 1.35rem }
p.note { color: #5a6675; font-size: .9rem }
li { margin: .3rem 0 }
select { font: inherit; width: 100%; padding: .4rem; margin: .3rem 0 1.2rem }
button { font: inherit; padding: .5rem 1.6rem; margin-right: .5rem; border-radius: .4rem; border: 1px solid
#1f6feb } button[value=allow] { background: #1f6feb; color: #fff }
button[value=deny] { background: #fff; color: #1f6feb }
"""


def consent_page(
    app: str, scopes: Iterable[str], users: Iterable[tuple[str, str]], parameters: Mapping[str, str]
) -> str:
    """The page that asks whether to grant `app` the `scopes` for one of `users` (id, name)."""
    permissions = "".join(
        f"<li>{escape(_MEANINGS.get(scope, scope))} <small>({escape(scope)})</small></li>" for scope in scopes
    )
    options = "".join(f'<option value="{escape(user)}">{escape(name)}</option>' for user, name in users)
    hidden = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in parameters.items()
    )
    return _page(
        f"{app} asks for access",
        f"<p>It would like to:</p><ul>{permissions}</ul>"
        f'<form method="post" action="/oauth/authorize">{hidden}'
        f'<label for="user">Sign in as</label><select id="user" name="user">{options}</select>'
        '<button name="decision" value="allow">Allow</button><button name="decision" value="deny">Deny</button></form>'
        '<p class="note">This is the sandbox: nobody has a password here, and nothing leaves this machine.</p>',
    )


def problem_page(text: str) -> str:
    """The page that explains why the browser is not redirected."""
    return _page("This request can't be answered", f"<p>{escape(text)}</p>")


def _page(title: str, body: str) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>{escape(title)}</h1>{body}</main></body></html>"
    )
