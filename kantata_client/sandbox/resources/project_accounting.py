"""Project accounting records and exchange tables."""

from __future__ import annotations

from kantata_client.sandbox.filters.makers import given, no_filter, same_day, unless
from kantata_client.sandbox.registry import Resource, declare
from kantata_client.sandbox.routes import actions, files, generic, rates, snapshots

declare(
    Resource(
        key="project_accounting_records",
        filters={"created_at": same_day("created_at"), "show_deleted": no_filter},
        default_filters=(unless(given("show_deleted"), lambda _, row: row.get("deleted_at") is None),),
        routes={
            "GET /project_accounting_records/export_to_csv": files.export_records,
            "POST /project_accounting_records/import_csv": files.import_records,
            "PUT /project_accounting_records/delete": actions.soft_delete,
        },
    )
)
declare(
    Resource(
        key="project_snapshots",
        properties={"replace_baseline": snapshots.make_baseline},
        owned=tuple(
            (target, "project_snapshot_id")
            for target in (
                *("project_snapshot_tasks", "project_snapshot_assignments", "project_snapshot_resources"),
                "project_snapshot_custom_field_values",
            )
        ),
        routes={"POST /project_snapshots": snapshots.create},
    )
)
declare(
    Resource(
        key="exchange_tables",
        routes={
            "GET /foreign_exchange/exchange_tables": generic.list_all,
            "POST /foreign_exchange/exchange_tables": generic.create,
            "GET /foreign_exchange/exchange_tables/{id}": rates.exchange_table,
            "GET /foreign_exchange/exchange_tables/{id}/rates": rates.rates,
            "POST /foreign_exchange/exchange_tables/{id}/rates": rates.import_rates,
        },
    )
)
