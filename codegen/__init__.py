"""The compiler of the contract into `kantata_client/api` and `kantata_client/models`; not part of the wheel.

    contract ─ load ─ overlay ─ resolve ─ normalise ─ describe ─ word ─ render ─ format ─ verify ─▶ kantata_client/

`load` reads the contract, `overlay` corrects it, and `semantics` reads what people know of it besides; what
the last two go by stands in `overrides/`. Nothing committed changes before `verify` has used what was generated.
"""
