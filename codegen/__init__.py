"""The compiler of the contract into `kantata_client/api` and `kantata_client/models`; not part of the wheel.

    contract ─ load ─ overlay ─ resolve ─ normalise ─ describe ─ word ─ render ─ format ─ verify ─▶ kantata_client/

`load` reads the contract, `overlay` corrects it, and `semantics` reads facts that the contract lacks; `overrides/` has the
input of both. Committed code changes only after `verify` has imported and used the new one.
"""
