"""The demo account: a consultancy with a year of work, identical on every machine."""

from __future__ import annotations

import gc
import random
from collections import Counter
from datetime import date, timedelta
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from kantata_client.sandbox import demo_details, schema
from kantata_client.sandbox.currencies import SYMBOLS
from kantata_client.sandbox.packed import PackedRecords
from kantata_client.sandbox.relations import blank, subject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from kantata_client.sandbox.packed import Row
    from kantata_client.sandbox.records import Record
    from kantata_client.sandbox.store import Rows

OWNER = "1001"
"""The user of the sandbox's token."""

FIRST_DAY = date(2025, 7, 1)
LAST_DAY = date(2026, 6, 30)
ENTRIES = 20_000
"""Number of time entries in the plain demo account."""
MOST_ENTRIES = 1_000_000
"""Maximum number of time entries in a large one."""
EXTRA_MINUTES = 15
"""Minutes of each additional time entry."""
_EXTRA: Mapping[str, Any] = {
    "approved": False,
    "is_invoiced": False,
    "invoice_id": None,
    "active_submission_id": None,
    "recent_submission_id": None,
    "time_in_minutes": EXTRA_MINUTES,
}
"""What additional time entries do not take from their template."""
_HOURS = 10
"""Number of hours of a day, from 8:00, in which additional time entries are created."""

# fmt: off
_FIRST_NAMES = (
    "Ada", "Bastian", "Carla", "Dario", "Edda", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kaja",
    "Leander", "Mira", "Nils", "Odette", "Pavel", "Quinn", "Rosa", "Stellan", "Tamsin", "Ulla", "Vito",
    "Wanda", "Xenia", "Yusuf", "Zora", "Alba", "Bruno", "Celeste", "Deniz", "Elio", "Freya", "Gideon",
    "Hanne", "Ilja", "Juno", "Kasper", "Lucia", "Magnus", "Noor", "Orla", "Pim", "Rafaela", "Soren",
    "Thea", "Umar", "Vesna", "Wim", "Ylva", "Zeno", "Anouk", "Bela", "Corin", "Dagny", "Emil", "Fenna",
    "Gael", "Hedda", "Ivo", "Jorun", "Kolja",
)
_LAST_NAMES = (
    "Thornvale", "Okonwe", "Marrowby", "Lindqvale", "Castelmar", "Brightholm", "Vasarely-Noor",
    "Dunmarrow", "Elsterwald", "Quillhaven", "Rosmarken", "Fennimoor", "Hallowick", "Ibarrent",
    "Jasperfield", "Kestrane", "Lorrimond", "Mistlewood", "Norbrook", "Oriveil", "Pellandine",
    "Ravensmead", "Silverbeck", "Tamarisk", "Underhay", "Velourne", "Westermark", "Yarrowgate",
    "Zindelar", "Ashcombrel",
)
# fmt: on
_GROUPS = (
    ("Alderwyn Foods", "USD"),
    ("Brindlecote Energy", "GBP"),
    ("Corvelia Health", "EUR"),
    ("Dunmere Logistics", "USD"),
    ("Elmsgate Insurance", "GBP"),
    ("Farrowlight Media", "USD"),
    ("Glimmerford Retail", "EUR"),
    ("Hartsloe Rail", "EUR"),
)
_PROJECTS = (
    *("Customer portal", "Data warehouse", "Pricing model", "Website relaunch", "Warehouse automation"),
    *("Field service app", "Brand refresh", "Finance transformation", "Demand forecast", "Support centre"),
)
_PHASES = ("Discovery", "Design", "Build", "Roll-out", "Handover")
_TASKS: Mapping[str, tuple[str, ...]] = {
    "Discovery": ("Stakeholder interviews", "Current-state map", "Goals and measures", "Risk register"),
    "Design": ("Target architecture", "Wireframes", "Data model", "Design review"),
    "Build": ("Integration layer", "Core features", "Reporting", "Quality assurance"),
    "Roll-out": ("Pilot with one team", "Training material", "Migration rehearsal", "Go-live plan"),
    "Handover": ("Operating manual", "Support briefing", "Lessons learned", "Final report"),
}
_STEPS = ("Prepare", "Draft", "Review", "Revise", "Agree on")
_ROLES = (
    ("Partner", 32_000, 15_500),
    ("Principal consultant", 26_000, 12_500),
    ("Project manager", 21_000, 10_500),
    ("Senior consultant", 19_500, 9_500),
    ("Engineer", 17_500, 8_800),
    ("Designer", 16_000, 8_000),
    ("Consultant", 14_500, 7_000),
    ("Analyst", 11_000, 5_500),
)
_NOTES = (
    *(
        "Workshop and follow-up",
        "Worked through the open points",
        "Call with the client",
        "Wrote the first version",
    ),
    *("Review with the team", "Fixed what the review found", "Prepared the next session", ""),
)
_SKILLS = ("Facilitation", "Data modelling", "Python", "Interaction design", "Change management", "Costing")


@cache
def empty() -> Mapping[str, Sequence[Record]]:
    """An account with only its owner."""
    builder = _Builder()
    builder.member(OWNER, "Ada Thornvale", "3001", "administrator", 32_000, 15_500)
    return builder.records


@lru_cache(maxsize=2)
def demo(last_day: date = LAST_DAY) -> Mapping[str, Sequence[Record]]:
    """The records by envelope key, shared by all sandboxes: never modify them in place.

    Args:
        last_day: The last day of the year of work. The same day gives the same records in every process.
    """
    return _Demo(last_day).build()


@lru_cache(maxsize=2)
def by_id(last_day: date) -> Mapping[str, dict[str, Record]]:
    """`demo` with the records of each envelope key by id, which stores copy."""
    return {key: {record["id"]: record for record in rows} for key, rows in demo(last_day).items()}


def large(
    last_day: date, entries: int, progress: Callable[[float], None] = lambda share: None
) -> Mapping[str, Rows]:
    """As `demo`, with more time entries: short ones, on the days and tasks of the others, packed to save memory.

    Args:
        last_day: The last day of the year of work.
        entries: How many time entries there are, `ENTRIES` to `MOST_ENTRIES`.
        progress: Called from time to time with the share that is made, 0 to 1.
    """
    progress(0)
    records = demo(last_day)
    originals = records["time_entries"]
    extra = entries - len(originals)
    templates = [{**row, **_EXTRA} for row in originals]
    own: dict[str, Record] = {row["id"]: row for row in originals}
    rows: dict[str, Row | None] = dict.fromkeys(own)
    for part in _packed_rows(templates, int(originals[-1]["id"]) + 1, extra):
        rows.update(part)
        progress(len(rows) / entries)
    stories = {row["id"]: row for row in records["stories"]}
    for (story, field), minutes in _extra_minutes(templates, extra).items():
        stories[story] = {**stories[story], field: stories[story][field] + minutes}
    packed = PackedRecords(templates, own, rows)
    gc.collect()  # which finds that there is nothing to collect in `rows`, and leaves it alone from then on
    return {**records, "stories": list(stories.values()), "time_entries": packed}


def _packed_rows(
    templates: Sequence[Record], first_id: int, count: int
) -> Iterator[Iterator[tuple[str, Row]]]:
    """Additional time entries, round by round: each template in turn, created an hour later in each round."""
    size = len(templates)
    indexes = range(size)
    created = [
        [f"{row['created_at'][:11]}{8 + hour:02}{row['created_at'][13:]}" for row in templates]
        for hour in range(min(_HOURS, -(-count // size)))
    ]
    for start in range(0, count, size):
        ids = range(first_id + start, first_id + min(start + size, count))
        yield zip(map(str, ids), zip(created[start // size % _HOURS], indexes, strict=True), strict=False)


def _extra_minutes(templates: Sequence[Record], count: int) -> Counter[tuple[str, str]]:
    """(task, field) → the minutes that additional time entries add to it."""
    rounds, rest = divmod(count, len(templates))
    minutes: Counter[tuple[str, str]] = Counter()
    for index, template in enumerate(templates):
        field = f"logged_{'' if template['billable'] else 'non'}billable_time_in_minutes"
        minutes[template["story_id"], field] += (rounds + (index < rest)) * EXTRA_MINUTES
    return minutes


class _Builder:
    """Collects records with all fields of their types."""

    def __init__(self) -> None:
        self.records: dict[str, list[dict[str, Any]]] = {}
        self._blanks: dict[str, dict[str, Any]] = {}
        self._numbers: dict[str, list[str]] = {}
        """Envelope key → its references that are numbers."""
        self.moved_by = timedelta()

    def moved(self, time: str) -> str:
        """A time in the calendar of `LAST_DAY`, moved to that of the account."""
        return f"{date.fromisoformat(time[:10]) + self.moved_by}{time[10:]}"

    def add(self, key: str, identity: int | str, created: str, /, **fields: Any) -> dict[str, Any]:
        """Add a record created at a time (ISO 8601, UTC)."""
        if key not in self._blanks:
            self._blanks[key] = {"id": None, **blank(key)}
            kinds = schema.model(key).kinds
            self._numbers[key] = [f for f, kind in kinds.items() if kind == "int" and f.endswith("_id")]
        row = {
            **self._blanks[key],
            "id": str(identity),
            "created_at": created,
            "updated_at": created,
            **fields,
        }
        for field in self._numbers[key]:
            if row.get(field) is not None:
                row[field] = int(row[field])
        self.records.setdefault(key, []).append(row)
        return row

    def member(
        self, user: str, name: str, role: str, permission: str, rate: int, cost: int, **fields: Any
    ) -> None:
        """Add a user with an account membership."""
        first, _, last = name.partition(" ")
        self.add(
            "users",
            user,
            self.moved("2024-02-01T09:00:00Z"),
            full_name=name,
            email_address=f"{first}.{last}@northlight.example".lower(),
            role_id=role,
            manager_id=None if user == OWNER else OWNER,
            classification="Internal",
            city="Larkport",
            **dict.fromkeys(("bio", "country", "state", "website")),
        )
        self.add(
            "account_memberships",
            int(user) + 1000,
            self.moved("2024-02-01T09:00:00Z"),
            user_id=user,
            default_role_id=role,
            permission=permission,
            bill_rate_in_cents=rate,
            cost_rate_in_cents=cost,
            billability_target=75,
            is_owner=user == OWNER,
            is_administrator=permission == "administrator",
            is_project_lead=permission in {"administrator", "project_lead"},
            can_view_reports=permission == "administrator",
            can_create_workspace=permission != "collaborator",
            can_log_in=True,
            manager_id=None if user == OWNER else OWNER,
            **fields,
        )


class _Demo(_Builder):
    """Builds the consultancy step by step, all choices by one seeded generator."""

    def __init__(self, last_day: date) -> None:
        super().__init__()
        self.last_day = last_day
        self.first_day = last_day - (LAST_DAY - FIRST_DAY)
        self.moved_by = last_day - LAST_DAY
        self.random = random.Random(20_260_630)
        self.staff: list[str] = []
        self.rates: dict[str, tuple[str, int, int]] = {}
        self.work: dict[tuple[str, str], list[dict[str, Any]]] = {}
        """(user, workspace) → the tasks assigned there."""
        self.next_id: dict[str, int] = {}

    def number(self, key: str, first: int) -> int:
        """The next id of a collection."""
        self.next_id[key] = self.next_id.get(key, first - 1) + 1
        return self.next_id[key]

    def build(self) -> Mapping[str, Sequence[Record]]:
        self.people()
        self.workspaces()
        self.time()
        self.invoices_and_timesheets()
        self.conversation()
        self.extras()
        demo_details.complete(self.records, self.moved_by)
        return self.records

    def people(self) -> None:
        for index, (name, _, _) in enumerate(_ROLES):
            self.add("roles", 3001 + index, self.moved("2024-01-15T09:00:00Z"), name=name)
        for index in range(61):
            user = str(1001 + index)
            name = f"{_FIRST_NAMES[index]} {_LAST_NAMES[(index * 7) % len(_LAST_NAMES)]}"
            role = 0 if index == 0 else 1 + (index * 5) % (len(_ROLES) - 1)
            _, rate, cost = _ROLES[role]
            permission = "administrator" if index < 2 else "project_lead" if role <= 2 else "collaborator"
            left = {"disabled_at": self.moved("2026-01-31T17:00:00Z")} if index == 60 else {}
            self.member(user, name, str(3001 + role), permission, rate, cost, **left)
            self.rates[user] = str(3001 + role), rate, cost
            if not left:
                self.staff.append(user)
        self.add("skill_categories", 3101, self.moved("2024-01-15T09:00:00Z"), name="Consulting")
        self.add("skill_categories", 3102, self.moved("2024-01-15T09:00:00Z"), name="Technology")
        for index, name in enumerate(_SKILLS):
            self.add(
                "skills",
                3201 + index,
                self.moved("2024-01-15T09:00:00Z"),
                name=name,
                skill_category_id="3101",
            )
        for user in self.staff:
            for skill in self.random.sample(range(len(_SKILLS)), 2):
                self.add(
                    "skill_memberships",
                    self.number("skill_memberships", 3301),
                    self.moved("2024-03-01T09:00:00Z"),
                    user_id=user,
                    skill_id=str(3201 + skill),
                    level=self.random.randint(1, 5),
                    creator_id=OWNER,
                )

    def workspaces(self) -> None:
        for index, (name, _) in enumerate(_GROUPS):
            self.add(
                "workspace_groups", 3501 + index, self.moved("2024-01-15T09:00:00Z"), name=name, company=True
            )
        for index, name in enumerate(("Slate", "Amber", "Moss")):
            self.add(
                "account_colors",
                3601 + index,
                self.moved("2024-01-15T09:00:00Z"),
                name=name,
                hex=("#5B6770", "#E0A030", "#5F7F4F")[index],
                enabled=True,
                default_color=index == 0,
            )
        for index in range(44):
            self.workspace(index)

    def workspace(self, index: int) -> None:
        """Add a project with its team and tasks: the first is internal, the last four are archived."""
        identity = str(10_001 + index)
        internal, archived = index == 0, index >= 40
        group, currency = ("Northlight", "USD") if internal else _GROUPS[index % len(_GROUPS)]
        start = self.first_day + timedelta(days=0 if internal else self.random.randrange(0, 240))
        due = (
            self.last_day + timedelta(days=180)
            if internal
            else start + timedelta(days=self.random.randrange(120, 330))
        )
        if archived:
            start, due = (date(year, 3, 1) + timedelta(days=index) + self.moved_by for year in (2024, 2025))
        team = self.staff if internal else self.random.sample(self.staff, self.random.randint(6, 10))
        lead = OWNER if internal else team[0]
        title = "Practice development" if internal else f"{group}: {_PROJECTS[index % len(_PROJECTS)]}"
        created = f"{start - timedelta(days=14)}T10:00:00Z"
        price = 0 if internal else self.random.randrange(40, 400) * 100_000
        self.add(
            "workspaces",
            identity,
            created,
            title=title,
            description="Time for learning, hiring and the practice." if internal else f"For {group}.",
            start_date=str(start),
            due_date=str(due),
            effective_due_date=str(due),
            archived=archived,
            access_level="invitation",
            account_id=1,
            account_color_id=str(3601 + index % 3),
            budgeted=not internal,
            price_in_cents=price,
            price=f"{SYMBOLS[currency]}{price // 100:,}",
            currency=currency,
            currency_symbol=SYMBOLS[currency],
            currency_base_unit=100,
            consultant_role_name="Northlight",
            client_role_name=group,
            creator_id=OWNER,
            primary_maven_id=lead,
            primary_workspace_group_id=None if internal else str(3501 + index % len(_GROUPS)),
            workspace_group_ids=[] if internal else [str(3501 + index % len(_GROUPS))],
            percentage_complete=100 if archived else min(95, (self.last_day - start).days // 4),
            require_time_approvals=not internal,
            require_expense_approvals=not internal,
            tasks_default_non_billable=internal,
            time_trackable=True,
            can_invite=True,
            target_margin=None if internal else 40.0,
            status={"color": "grey", "key": "400", "message": "Completed"}
            if archived
            else {"color": "green", "key": "305", "message": "Active"},
        )
        for user in team:
            role, rate, _ = self.rates[user]
            participation = self.number("participations", 13_001)
            self.add(
                "participations",
                participation,
                created,
                workspace_id=identity,
                user_id=user,
                role="maven",
                access_level="admin" if user == lead else "time_logging",
                is_team_lead=user == lead,
                rate_in_cents=rate,
                default_rate_in_cents=rate,
                primary_role_id=role,
                can_post=True,
            )
            self.add(
                "workspace_resources",
                participation + 2_000,
                created,
                workspace_id=identity,
                user_id=user,
                role_id=role,
                participation_id=str(participation),
            )
        self.tasks(identity, team, start, due, billable=not internal, small=archived)

    def tasks(
        self, workspace: str, team: list[str], start: date, due: date, *, billable: bool, small: bool
    ) -> None:
        """Add five phases, each with a milestone and tasks, each task with a subtask: 50 in total, or 20."""
        span = max((due - start).days // len(_PHASES), 5)
        position = 0

        def add(title: str, kind: str, parents: list[str], first: date, last: date) -> dict[str, Any]:
            nonlocal position
            position += 1
            done = last < self.last_day - timedelta(days=10)
            going = not done and first <= self.last_day
            state = "completed" if done else "started" if going else "not started"
            estimate = 0 if kind != "task" else self.random.randrange(4, 60) * 60
            return self.add(
                "stories",
                self.number("stories", 20_001),
                f"{start - timedelta(days=7)}T{8 + position % 9:02}:{position % 60:02}:00Z",
                title=title,
                description=f"{title}: what was agreed in the kick-off.",
                story_type=kind,
                workspace_id=workspace,
                parent_id=parents[-1] if parents else None,
                root_id=parents[0] if parents else None,
                ancestor_ids=list(parents),
                ancestry_depth=len(parents),
                subtree_depth=len(parents),
                sub_story_count=0,
                start_date=str(first),
                due_date=str(last),
                state=state,
                status=state,
                percentage_complete=100 if done else 40 if going else 0,
                priority=self.random.choice(("low", "normal", "normal", "normal", "high", "critical")),
                position=position,
                archived=False,
                billable=billable and self.random.random() < 0.9,
                fixed_fee=False,
                time_trackable=kind == "task",
                project_plan=True,
                time_estimate_in_minutes=estimate,
                budget_estimate_in_cents=estimate * 300,
                logged_billable_time_in_minutes=0,
                logged_nonbillable_time_in_minutes=0,
                creator_id=team[0],
                follower_ids=[team[0]],
            )

        for number, phase in enumerate(_PHASES):
            first = start + timedelta(days=number * span)
            last = first + timedelta(days=span - 1)
            top = add(phase, "deliverable", [], first, last)
            below = [add(f"{phase} accepted", "milestone", [top["id"]], last, last)]
            for index, title in enumerate(_TASKS[phase][: 1 if small else 4]):
                task = add(title, "task", [top["id"]], first, last)
                step = f"{_STEPS[(number + index) % len(_STEPS)]}: {title[0].lower()}{title[1:]}"
                deep = add(step, "task", [top["id"], task["id"]], first, last)
                task["sub_story_count"] = 1
                below += [task, deep]
                for story in (task, deep):
                    self.assign(workspace, story, team)
            top["sub_story_count"] = len(below)

    def assign(self, workspace: str, story: dict[str, Any], team: list[str]) -> None:
        for user in self.random.sample(team, 2):
            self.add(
                "assignments",
                self.number("assignments", 30_001),
                story["created_at"],
                story_id=story["id"],
                assignee_id=user,
                current=True,
                estimated_minutes=(story["time_estimate_in_minutes"] or 0) // 2,
            )
            self.work.setdefault((user, workspace), []).append(story)

    def time(self) -> None:
        """Add 20,000 entries: each member logs one or two on most working days of the year."""
        days = [self.first_day + timedelta(days=n) for n in range((self.last_day - self.first_day).days + 1)]
        slots = [(day, user) for day in days if day.weekday() < 5 for user in self.staff]
        slots = [slot for slot in slots if self.random.random() < 0.92]
        twice = set(self.random.sample(range(len(slots)), ENTRIES - len(slots)))
        periods = {
            row["id"]: (row["start_date"], row["due_date"], row) for row in self.records["workspaces"][:40]
        }
        projects: dict[str, list[tuple[str, str, dict[str, Any]]]] = {user: [] for user in self.staff}
        for user, workspace in self.work:
            if workspace in periods:
                projects[user].append(periods[workspace])
        internal = periods["10001"]
        everyday = [story for story in self.records["stories"][:50] if story["story_type"] == "task"]
        for index, (day, user) in enumerate(slots):
            when = str(day)
            current = [project for project in projects[user] if project[0] <= when <= project[1]] or [
                internal
            ]
            pair = index in twice
            for hour in (11, 17) if pair else (17,):
                workspace = self.random.choice(current)[2]
                story = self.random.choice(self.work.get((user, workspace["id"]), everyday))
                minutes = 15 * (self.random.randint(8, 18) if pair else self.random.randint(24, 34))
                self.entry(when, hour, user, workspace, story, minutes)

    def entry(
        self, when: str, hour: int, user: str, workspace: dict[str, Any], story: dict[str, Any], minutes: int
    ) -> None:
        role, rate, cost = self.rates[user]
        billable = story["billable"]
        story[f"logged_{'' if billable else 'non'}billable_time_in_minutes"] += minutes
        self.add(
            "time_entries",
            self.number("time_entries", 100_001),
            f"{when}T{hour}:{self.random.randrange(60):02}:{self.random.randrange(60):02}Z",
            workspace_id=workspace["id"],
            story_id=story["id"],
            user_id=user,
            role_id=role,
            date_performed=when,
            time_in_minutes=minutes,
            billable=billable,
            rate_in_cents=rate if billable else 0,
            cost_rate_in_cents=cost,
            currency=workspace["currency"],
            currency_symbol=workspace["currency_symbol"],
            currency_base_unit=100,
            notes=self.random.choice(_NOTES),
            approved=False,
            taxable=False,
            is_invoiced=False,
        )

    def invoices_and_timesheets(self) -> None:
        """Add timesheets of some members and monthly invoices of some projects."""
        by_month: dict[tuple[str, str], list[dict[str, Any]]] = {}
        by_member: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
        for entry in self.records["time_entries"]:
            month = entry["date_performed"][:7]
            by_month.setdefault((entry["workspace_id"], month), []).append(entry)
            by_member.setdefault((entry["user_id"], entry["workspace_id"], month), []).append(entry)
        for (user, workspace, month), entries in list(by_member.items())[::8]:
            identity = str(self.number("timesheet_submissions", 40_001))
            approved = month < str(self.last_day)[:7]
            self.add(
                "timesheet_submissions",
                identity,
                f"{entries[-1]['date_performed']}T18:00:00Z",
                title=f"Time of {month}",
                status="approved" if approved else "pending",
                user_id=user,
                workspace_id=workspace,
                start_date=entries[0]["date_performed"],
                end_date=entries[-1]["date_performed"],
                currency=entries[0]["currency"],
                currency_symbol=entries[0]["currency_symbol"],
                currency_base_unit=100,
                line_item_total_in_cents=_value(entries),
                type="TimesheetSubmission",
            )
            for entry in entries:
                entry |= {
                    "active_submission_id": identity,
                    "recent_submission_id": identity,
                    "approved": approved,
                }
        months = sorted({month for _, month in by_month})[2:9]
        due = [project for project in by_month if project[0] != "10001" and project[1] in months]
        for number, (workspace, month) in enumerate(sorted(due)[::6]):
            entries = [entry for entry in by_month[workspace, month] if entry["billable"]]
            if not entries:
                continue
            identity = str(self.number("invoices", 45_001))
            self.add(
                "invoices",
                identity,
                f"{month}-28T16:00:00Z",
                title=f"Invoice #{number + 1}",
                user_invoice_number=number + 1,
                status="accepted payment" if number % 3 else "new",
                draft=False,
                invoice_date=f"{month}-28",
                due_date=f"{month}-28",
                payment_schedule=30,
                balance_in_cents=_value(entries) if number % 3 == 0 else 0,
                currency=entries[0]["currency"],
                currency_symbol=entries[0]["currency_symbol"],
                currency_base_unit=100,
                user_id=OWNER,
                workspace_ids=[workspace],
            )
            for entry in entries:
                entry |= {"invoice_id": identity, "is_invoiced": True, "approved": True}

    def conversation(self) -> None:
        """Add posts, some with replies and attachments."""
        for workspace in self.records["workspaces"][:40]:
            team = [
                row["user_id"]
                for row in self.records["participations"]
                if row["workspace_id"] == workspace["id"]
            ]
            for index in range(3):
                identity = self.number("posts", 50_001)
                created = f"{workspace['start_date']}T{9 + index:02}:30:00Z"
                files: list[str] = []
                if index == 0:
                    files = [str(identity + 2_000)]
                    self.add(
                        "attachments",
                        files[0],
                        created,
                        filename=f"agenda-{workspace['id']}.pdf",
                        filesize=self.random.randrange(20_000, 900_000),
                    )
                above = {}
                if index == 2:
                    above = {
                        "subject_id": identity - 1,
                        "subject_type": "Post",
                        "subject_ref": subject("posts", str(identity - 1)),
                    }
                    self.records["posts"][-1] |= {
                        "reply": True,
                        "reply_count": 1,
                        "newest_reply_id": str(identity),
                        "newest_reply_at": created,
                    }
                self.add(
                    "posts",
                    identity,
                    created,
                    message=("Agenda of the kick-off", "Who joins the review on Thursday?", "I do.")[index],
                    user_id=team[index % len(team)],
                    workspace_id=workspace["id"],
                    attachment_ids=files,
                    has_attachments=bool(files),
                    private=False,
                    reply=False,
                    reply_count=0,
                    **above,
                )

    def extras(self) -> None:
        """Add expenses, custom fields and external references."""
        for index, name in enumerate(("Travel", "Lodging", "Meals", "Software")):
            self.add("expense_categories", 3701 + index, self.moved("2024-01-15T09:00:00Z"), name=name)
        live = self.records["workspaces"][1:40]
        for _ in range(240):
            workspace = self.random.choice(live)
            when = str(self.first_day + timedelta(days=self.random.randrange(364)))
            kind = self.random.randrange(4)
            self.add(
                "expenses",
                self.number("expenses", 60_001),
                f"{when}T19:00:00Z",
                workspace_id=workspace["id"],
                user_id=self.random.choice(self.staff),
                date=when,
                category=("Travel", "Lodging", "Meals", "Software")[kind],
                expense_category_id=str(3701 + kind),
                amount_in_cents=self.random.randrange(900, 60_000),
                currency=workspace["currency"],
                currency_symbol=workspace["currency_symbol"],
                currency_base_unit=100,
                notes="",
                reimbursable=True,
                is_billable=True,
                is_invoiced=False,
            )
        for index, (name, kind, about) in enumerate(
            (
                ("Region", "string", "Workspace"),
                ("Account manager", "string", "Workspace"),
                ("Sprint", "number", "Story"),
            )
        ):
            self.add(
                "custom_fields",
                3801 + index,
                self.moved("2024-01-15T09:00:00Z"),
                name=name,
                value_type=kind,
                subject_type=about,
                creator_id=OWNER,
            )
        for index, workspace in enumerate(live):
            region = ("North", "Coast", "Islands")[index % 3]
            about = {
                "subject_type": "Workspace",
                "subject_id": int(workspace["id"]),
                "subject_ref": subject("workspaces", workspace["id"]),
            }
            self.add(
                "custom_field_values",
                70_001 + index,
                workspace["created_at"],
                custom_field_id="3801",
                custom_field_name="Region",
                type="string",
                value=region,
                display_value=region,
                setter_id=OWNER,
                account_id=1,
                can_edit=True,
                **about,
            )
            self.add(
                "external_references",
                71_001 + index,
                workspace["created_at"],
                service_name="deskbook",
                service_model="Engagement",
                service_model_ref=f"ENG-{1000 + index}",
                status="successful",
                locked=False,
                last_synced_at=workspace["created_at"],
                **about,
            )


def _value(entries: list[dict[str, Any]]) -> int:
    """The billable value of time entries, in cents."""
    return sum(entry["time_in_minutes"] * entry["rate_in_cents"] // 60 for entry in entries)
