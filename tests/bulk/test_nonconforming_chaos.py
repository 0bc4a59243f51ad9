"""10,000 items through broken connections to services that promise less than the sandbox: no outcome is ever wrong."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from kantata_client import ExternalReferenceKey, FixedRate, Kantata, RetryPolicy, Timeouts
from kantata_client.sandbox import Sandbox
from tests.bulk.nonconforming_services import (
    AlteredSearch,
    NonconformingService,
    NotAtomic,
    Reordering,
    changed,
)
from tests.bulk.test_chaos import unleash

if TYPE_CHECKING:
    import httpx

    from kantata_client import Outcome
    from kantata_client.models import TimeEntry

COUNT = 10_000
MOST_RUNS = 60
BAD = {str(index) for index in range(0, COUNT, 487)}


def is_bad(row: dict[str, Any]) -> bool:
    return row["notes"] in BAD


class Contradicting(AlteredSearch):
    """Answers to some searches with a contradiction, twenty times in all."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self.random = random.Random(5)
        self.left = 20

    async def answer(self, request: httpx.Request, body: Any) -> httpx.Response:
        answer = await super().answer(request, body)
        searched = request.method == "GET" and "external_reference_service_name" in request.url.params
        if not searched or answer.status_code != 200 or not self.left or self.random.random() > 1 / 10:
            return answer
        self.left -= 1
        return changed(answer, self.random.choice([self.uncounted, self.unmapped, self.foreign]))

    def uncounted(self, body: dict[str, Any]) -> None:
        body["results"] = body["results"][1:]
        body["count"] = body["count"] + 1

    def unmapped(self, body: dict[str, Any]) -> None:
        body["time_entries"] = {}
        body["results"] = body["results"] or [{"key": "time_entries", "id": "1"}]

    def foreign(self, body: dict[str, Any]) -> None:
        body["count"] = max(body["count"], 1)
        body["results"] = [{"key": "time_entries", "id": "1"}]
        body["time_entries"] = {"1": {"id": "1", "external_reference_ids": ["1"]}}
        reference = {"id": "1", "service_name": "ERP", "service_model": "line", "service_model_ref": "l-1"}
        body["external_references"] = {"1": reference}


SERVICES: dict[str, Any] = {
    "not atomic": lambda sandbox: NotAtomic(sandbox, is_bad),
    "not atomic, silent": lambda sandbox: NotAtomic(sandbox, is_bad, with_index=False),
    "another order": Reordering,
    "contradicting": Contradicting,
}


class Trial:
    """Creates what is left to do, over and over, and compares each outcome with what the service has."""

    def __init__(
        self, sandbox: Sandbox, session: Any, service: NonconformingService, workspace: int, way: str
    ) -> None:
        self.sandbox = sandbox
        self.session = session
        self.service = service
        self.workspace = workspace
        self.way = way
        self.random = random.Random(9)
        self.key = ExternalReferenceKey("erp", "line", ref=lambda item: f"L-{item['notes']}", patience=0.05)

    def stored(self) -> Counter[str]:
        return Counter(entry["notes"] for entry in self.sandbox.store.all("time_entries"))

    async def run(self, todo: list[int], patience: float) -> list[Outcome[TimeEntry]]:
        row = {"workspace_id": self.workspace, "date_performed": "2026-01-05", "time_in_minutes": 30}
        rows = [{**row, "notes": str(index)} for index in todo]
        already = self.stored()
        async with Kantata(
            self.session.tokens,
            base_url=self.session.base_url,
            transport=self.service,
            timeout=Timeouts(connect=2, read=0.02, write=2),
            retries=RetryPolicy(retries=3, initial=0.001, maximum=0.002),
            throttle=FixedRate(1e6),
        ) as kantata:
            entries = kantata.time_entries
            run = (
                entries.create_many(rows, key=self.key, concurrency=6)
                if self.way == "keyed"
                else entries.create_many(rows, concurrency=6)
            )
            with anyio.move_on_after(patience):
                await run
            outcomes = run.result.outcomes
        self.check(outcomes, already)
        return outcomes

    def check(self, outcomes: list[Outcome[TimeEntry]], already: Counter[str]) -> None:
        stored = self.stored()
        assert max(stored.values(), default=1) == 1, "something is there twice"
        for outcome in outcomes:
            notes = outcome.item["notes"]
            if outcome.status == "done":
                assert outcome.result is not None
                assert outcome.result.notes == notes, "a wrong object"
                assert stored[notes] == 1
            elif outcome.status == "failed":
                assert stored[notes] == already[notes], "failed, but it was done"


@pytest.mark.parametrize("way", ["keyed", "unkeyed"])
@pytest.mark.parametrize("name", SERVICES)
@pytest.mark.anyio
@pytest.mark.one_loop
async def test_no_outcome_is_wrong(name: str, way: str) -> None:
    sandbox = Sandbox("empty")
    async with sandbox.client() as kantata:
        workspace = await kantata.workspaces.create(title="P")
    trial = Trial(sandbox, kantata._session, SERVICES[name](sandbox), int(workspace.id), way)
    sandbox.faults.random.seed(11)
    unleash(sandbox)
    todo = list(range(COUNT))
    good = {str(index) for index in range(COUNT)} - (BAD if name.startswith("not") else set())
    unsure: set[int] = set()
    for attempt in range(MOST_RUNS):
        patience = trial.random.uniform(0.05, 0.5) if attempt < 5 else 120.0
        outcomes = await trial.run(todo, patience)
        if way == "keyed":
            if (
                trial.stored().keys() >= good
                and {o.item["notes"] for o in outcomes if o.status == "done"} == good
            ):
                break
            continue  # everything again, as after a crash
        settled = {int(outcome.item["notes"]) for outcome in outcomes if outcome.status != "failed"}
        unsure |= {int(outcome.item["notes"]) for outcome in outcomes if outcome.status == "unknown"}
        refused = {int(o.item["notes"]) for o in outcomes if o.status == "failed"} if attempt > 5 else set()
        todo = [index for index in todo if index not in settled and index not in refused]
        if not todo:
            break
    else:
        pytest.fail(f"not done after {MOST_RUNS} runs")
    if way == "keyed":
        assert trial.stored() == dict.fromkeys(good, 1)
    else:
        assert len(unsure) < COUNT or name != "not atomic"
        sent = Counter(
            row["notes"]
            for request in sandbox.requests
            if request.method == "POST" and request.path == "/time_entries" and request.status < 400
            for row in request.json()["time_entries"]
        )
        assert max(sent.values()) == 1
