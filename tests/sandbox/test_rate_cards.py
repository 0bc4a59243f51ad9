"""Rate cards: what new sets, versions and cards start with, and what can't be changed any more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from kantata_client.sandbox import Sandbox
from kantata_client.sandbox.routes import rate_cards

from .conftest import NOW, connected, only, refusal

if TYPE_CHECKING:
    from .conftest import API

pytestmark = [pytest.mark.anyio, pytest.mark.one_loop]

DEFAULT, CUSTOM, DEFAULT_CARD = 86001, 86002, 86301


async def make_version(api: API, card_set: int, day: str = "2026-10-01", **query: Any) -> dict[str, Any]:
    body = {"rate_card_set_id": card_set, "effective_date": day}
    return only(await api.post("/rate_card_set_versions", {"rate_card_set_version": body}, **query))


async def make_card(api: API, card_set: int, currency: str = "EUR", **fields: Any) -> dict[str, Any]:
    body = {"rate_card_set_id": card_set, "currency": currency, **fields}
    return only(await api.post("/rate_cards", {"rate_card": body}, include="rate_card_versions"))


async def test_a_new_version_copies_the_rates_of_the_latest_one(api: API) -> None:
    store = api.sandbox.store
    made = await make_version(api, DEFAULT, include="rate_card_versions")
    assert (made["active"], made["used_currencies"]) == (False, ["USD"])
    [copied] = [store.get("rate_card_versions", each) or {} for each in made["rate_card_version_ids"]]
    assert (copied["rate_card_id"], copied["default_rate"]) == (str(DEFAULT_CARD), 10_000)
    [role] = store.where("rate_card_roles", "rate_card_version_id", copied["id"])
    assert (role["role_id"], role["rate"]) == ("3001", 10_000)
    rows = await api.get(f"/rate_card_set_versions/{made['id']}/rate_card_table_rows")
    assert [row["cells"] for row in rows["rate_card_table_rows"].values()] == [{"USD": {"rate": 20_000}}]
    table = f"/rate_card_set_versions/{made['id']}/rate_card_table_rows/3001"
    await api.put(table, {"rate_card_table_row": {"rates": [{"currency": "USD", "rate": 5}]}})
    assert (store.get("rate_card_roles", role["id"]) or {})["rate"] == 5
    again = await make_version(api, DEFAULT, "2026-11-01", clone_id=made["id"], include="rate_card_versions")
    [row] = store.where("rate_card_roles", "rate_card_version_id", again["rate_card_version_ids"][0])
    assert row["rate"] == 5
    await api.delete(table)
    assert store.get("rate_card_roles", role["id"]) is None
    assert "another set" in await refusal(
        api,
        "POST",
        "/rate_card_set_versions",
        {"rate_card_set_version": {"rate_card_set_id": CUSTOM}},
        clone_id=made["id"],
    )


async def test_a_new_set_is_empty_or_a_copy(api: API) -> None:
    body = {"rate_card_set": {"title": "Partners"}}
    empty = only(await api.post("/rate_card_sets", body, include="rate_cards,rate_card_set_versions"))
    assert (empty["account_default"], empty["destroyable"], empty["rate_card_ids"]) == (False, True, [])
    query = {"clone_version_id": 85901, "include": "rate_cards,rate_card_set_versions"}
    copy = await api.post("/rate_card_sets", body, **query)
    [card] = copy["rate_cards"].values()
    [version] = copy["rate_card_set_versions"].values()
    assert (card["currency"], card["rate_card_set_title"], version["active"]) == ("USD", "Partners", False)
    assert version["effective_date"] == "2026-07-01"
    assert only(copy)["default_currencies"] == ["USD"]
    assert "names no record" in await refusal(api, "POST", "/rate_card_sets", body, clone_version_id=7)


async def test_a_new_card_gets_versions_and_needs_its_currency_in_the_default_set(api: API) -> None:
    store = api.sandbox.store
    path, body = "/rate_cards", {"rate_card": {"rate_card_set_id": CUSTOM, "currency": "EUR"}}
    assert "default set first" in await refusal(api, "POST", path, body)
    planned = await make_version(api, DEFAULT)
    card = await make_card(api, DEFAULT)
    versions = [store.get("rate_card_versions", each) or {} for each in card["rate_card_version_ids"]]
    # The latest one, and those that are published.
    assert {each["rate_card_set_version_id"] for each in versions} == {planned["id"], "85901"}
    effective = store.get(
        "rate_card_versions", (store.get("rate_cards", card["id"]) or {})["effective_rate_card_version_id"]
    )
    assert effective is not None
    assert effective["rate_card_set_version_id"] == "85901"
    assert len((await make_card(api, CUSTOM, rate_card_set_version_id=85902))["rate_card_version_ids"]) == 1
    assert "has a rate card" in await refusal(api, "POST", path, body)
    other = {"rate_card": {"rate_card_set_id": 86003, "currency": "EUR", "rate_card_set_version_id": 85902}}
    assert "another set" in await refusal(api, "POST", path, other)


async def test_published_versions_and_used_cards_are_fixed(api: API) -> None:
    changed = {"rate_card_version": {"default_rate": 1}}
    assert "in use" in await refusal(api, "PUT", "/rate_card_versions/86201", changed)
    await api.put("/rate_card_versions/86202", changed)  # not published
    assert "in use" in await refusal(api, "PUT", "/rate_card_roles/85801", {"rate_card_role": {"rate": 1}})
    assert "in use" in await refusal(api, "DELETE", "/rate_card_roles/85801")
    await api.delete("/rate_card_roles/85802")
    moved = {"rate_card_set_version": {"effective_date": "2026-12-01"}}
    assert "in effect" in await refusal(api, "PUT", "/rate_card_set_versions/85901", moved)
    planned = await make_version(api, DEFAULT)
    await api.put(f"/rate_card_set_versions/{planned['id']}/publish")
    await api.put(f"/rate_card_set_versions/{planned['id']}", moved)  # published, and not yet in effect
    await make_card(api, DEFAULT)
    assert "project" in await refusal(api, "PUT", "/rate_cards/86301", {"rate_card": {"currency": "GBP"}})
    assert "project" in await refusal(api, "DELETE", "/rate_cards/86301")
    assert "default" in await refusal(api, "DELETE", f"/rate_card_sets/{DEFAULT}")
    assert "project" in await refusal(api, "DELETE", f"/rate_card_sets/{CUSTOM}")


async def test_versions_are_published_for_today_or_later_and_once_for_a_date(api: API) -> None:
    first, second = await make_version(api, DEFAULT), await make_version(api, DEFAULT)
    past = await make_version(api, DEFAULT, "2026-06-30")
    await api.put(f"/rate_card_set_versions/{first['id']}/publish")
    assert "another published" in await refusal(api, "PUT", f"/rate_card_set_versions/{second['id']}/publish")
    assert "past" in await refusal(api, "PUT", f"/rate_card_set_versions/{past['id']}/publish")
    today = await make_version(api, DEFAULT, "2026-07-01")
    await api.put(f"/rate_card_set_versions/{today['id']}/publish")
    store = api.sandbox.store
    effective = (store.get("rate_cards", DEFAULT_CARD) or {})["effective_rate_card_version_id"]
    assert (store.get("rate_card_versions", effective) or {})["rate_card_set_version_id"] == today["id"]


async def test_the_first_request_makes_the_default_set_and_activation_takes_its_versions() -> None:
    async with connected(Sandbox("empty", clock=lambda: NOW)) as api:
        for currency in ("EUR", "USD"):
            await api.post("/workspaces", {"workspace": {"title": currency, "currency": currency}})
        found = await api.get("/rate_card_sets", include="rate_cards,rate_card_set_versions")
        assert only(found)["account_default"] is True
        assert [card["currency"] for card in found["rate_cards"].values()] == ["EUR", "USD"]
        [version] = found["rate_card_set_versions"]
        assert await api.ids("/rate_card_sets") == [only(found)["id"]]
        other = only(await api.post("/rate_card_sets", {"rate_card_set": {"title": "Partners"}}))
        wrong = await make_version(api, int(other["id"]))
        path = "/account_rate_cards_activations"
        assert "default set" in await refusal(api, "POST", path, rate_card_set_version_id=wrong["id"])
        assert (await api.post(path, None, rate_card_set_version_id=version))["activated"] is True


async def shown(api: API) -> tuple[Any, ...]:
    """The currencies that the default set, its published version and the other set show."""
    default, custom = [only(await api.get(f"/rate_card_sets/{each}")) for each in (DEFAULT, CUSTOM)]
    version = only(await api.get("/rate_card_set_versions/85901"))
    return (
        default["default_currencies"],
        default["active_currencies"],
        version["used_currencies"],
        custom["default_currencies"],
    )


async def test_sets_and_versions_show_the_currencies_of_their_cards(api: API) -> None:
    one, two, other = ["USD"], ["EUR", "USD"], ["GBP", "USD"]
    assert await shown(api) == (one, one, one, one)
    card = await make_card(api, DEFAULT)
    assert await shown(api) == (two, two, two, two)
    await api.put(f"/rate_cards/{card['id']}", {"rate_card": {"currency": "GBP"}})
    assert await shown(api) == (other, other, other, other)
    made = only(await api.post("/rate_card_sets", {"rate_card_set": {"title": "Partners"}}))
    assert only(await api.get(f"/rate_card_sets/{made['id']}"))["default_currencies"] == other
    await api.delete(f"/rate_cards/{card['id']}")
    assert await shown(api) == (one, one, one, one)
    assert only(await api.get(f"/rate_card_sets/{made['id']}"))["default_currencies"] == one


async def test_a_deleted_version_no_longer_makes_currencies_active(api: API) -> None:
    version = await make_version(api, DEFAULT, "2026-07-01")
    await make_card(api, DEFAULT, rate_card_set_version_id=version["id"])
    await api.put(f"/rate_card_set_versions/{version['id']}/publish")
    await api.delete("/rate_card_set_versions/85901")
    assert only(await api.get(f"/rate_card_sets/{DEFAULT}"))["active_currencies"] == ["EUR", "USD"]
    await api.delete(f"/rate_card_set_versions/{version['id']}")
    assert only(await api.get(f"/rate_card_sets/{DEFAULT}"))["active_currencies"] == []


def test_the_demo_account_shows_the_currencies_that_follow_from_its_cards(sandbox: Sandbox) -> None:
    store = sandbox.store
    for row in store.all("rate_card_sets"):
        assert row["default_currencies"] == rate_cards.default_currencies(store) == ["USD"]
        assert row["active_currencies"] == rate_cards.active_currencies(store, row["id"])
    for row in store.all("rate_card_set_versions"):
        assert row["used_currencies"] == rate_cards.used_currencies(store, row["id"]) == ["USD"]
