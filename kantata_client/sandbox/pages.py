"""The overview page: records by resource, the latest requests, and buttons for faults."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Iterable

    from kantata_client.sandbox.controlled import Controlled

_SHOWN_RECORDS, _SHOWN_REQUESTS, _SHOWN_FIELDS = 50, 50, 8
_FIRST = ("title", "name", "full_name", "label", "status")
_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --accent: #1f6feb }
body { font: .95rem/1.45 system-ui, sans-serif; margin: 0; min-height: 100vh;
  display: grid; grid-template-columns: 20rem 1fr }
nav { border-right: 1px solid var(--line); padding: 1rem; overflow: auto }
nav a { display: flex; justify-content: space-between; padding: .15rem .4rem; border-radius: .3rem;
  color: inherit; text-decoration: none }
nav a:hover, nav a.here { background: var(--soft) }
main { padding: 1rem 2rem; overflow: auto }
h1 { font-size: 1.25rem; margin: 0 0 1rem } h2 { font-size: 1rem; margin: 1.6rem 0 .5rem }
table { border-collapse: collapse; width: 100%; font-size: .85rem }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top; max-width: 22rem;
  overflow: hidden; text-overflow: ellipsis; white-space: nowrap }
td.bad { color: #c0392b }
button { font: inherit; padding: .3rem .8rem; margin: 0 .4rem .4rem 0; border-radius: .3rem;
  border: 1px solid var(--accent); background: none; color: var(--accent); cursor: pointer }
output { margin-left: .5rem; opacity: .7 }
"""
_SCRIPT = """
const say = text => document.querySelector('output').textContent = text;
const send = async (method, path, body) => {
  const answer = await fetch('/__sandbox__' + path, {method, body: body && JSON.stringify(body)});
  say(answer.ok ? 'Done.' : (await answer.json()).error);
  if (path !== '/faults') location.reload();
};
for (const button of document.querySelectorAll('button'))
  button.onclick = () => {
    const {method, path, body} = button.dataset;
    send(method, path, body && JSON.parse(body));
  };
"""
_BUTTONS = (
    ("POST", "/faults", '{"kind": "status", "code": 503}', "Next request: 503"),
    ("POST", "/faults", '{"kind": "status", "code": 429}', "Next request: 429"),
    ("POST", "/faults", '{"kind": "reset", "committed": true}', "Next request: carried out, then reset"),
    ("POST", "/faults", '{"kind": "latency", "seconds": 2}', "2 seconds of latency"),
    ("DELETE", "/faults", "", "Remove faults"),
    ("POST", "/clock", '{"advance": 86400}', "Advance the clock by a day"),
    ("DELETE", "/requests", "", "Clear the requests"),
    ("POST", "/reset", "{}", "Reset the account"),
)


def overview(sandbox: Controlled, key: str | None) -> str:
    """The page, with the records of an envelope key if one is selected."""
    counts = sandbox.store.counts()
    links = "".join(
        f'<a href="/?key={escape(name)}"{" class=here" if name == key else ""}>{escape(name)} <span>{count}</span></a>'
        for name, count in sorted(counts.items())
    )
    buttons = "".join(
        f"<button data-method={method} data-path={path} data-body='{escape(body)}'>{escape(text)}</button>"
        for method, path, body, text in _BUTTONS
    )
    records = _records(sandbox, key) if key in counts else "<p>Select a resource on the left.</p>"
    gaps = "".join(f"<li>{escape(line)}</li>" for line in tuple(sandbox.gaps)[-20:])
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>Sandbox</title><style>{_STYLE}</style></head><body><nav><h1><a href=/>Sandbox</a></h1>{links}</nav><main>"
        f"<h1>{escape(sandbox.store.now())} <output></output></h1>{buttons}"
        f"<h2>{escape(key or 'Records')}</h2>{records}<h2>Latest requests</h2>{_requests(sandbox)}"
        + (f"<h2>Ignored</h2><ul>{gaps}</ul>" if gaps else "")
        + f"</main><script>{_SCRIPT}</script></body></html>"
    )


def _records(sandbox: Controlled, key: str | None) -> str:
    rows = sandbox.store.all(str(key))[: -_SHOWN_RECORDS - 1 : -1]
    filled = [field for field in rows[0] if any(row.get(field) not in (None, [], "") for row in rows)]
    first = ["id", *(field for field in _FIRST if field in filled)]
    fields = [*first, *(field for field in filled if field not in first)][:_SHOWN_FIELDS]
    return _table(fields, ([_text(row.get(field)) for field in fields] for row in rows))


def _requests(sandbox: Controlled) -> str:
    rows = list(sandbox.requests)[-_SHOWN_REQUESTS:][::-1]
    query = ["&".join(f"{name}={value}" for name, value in row.query) for row in rows]
    return _table(
        ("method", "path", "query", "body", "status"),
        (
            (row.method, row.path, text, row.body.decode(errors="replace")[:200], str(row.status))
            for row, text in zip(rows, query, strict=True)
        ),
    )


def _text(value: Any) -> str:
    if isinstance(value, dict):
        value = list(cast("dict[str, Any]", value).values())
    if isinstance(value, list):
        return ", ".join(map(str, cast("list[Any]", value)))
    return "" if value is None else str(value)


def _table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{' class=bad' if text[:1] in '45' and len(text) == 3 else ''}>{escape(text)}</td>"
            for text in row
        )
        + "</tr>"
        for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"
