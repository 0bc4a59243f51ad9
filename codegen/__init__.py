"""The compiler of the API's contract into `kantata_client/api` and `kantata_client/models`; not part of the wheel.

    openapi/specification.yaml ─ load ─ overlay ─ normalise ─ describe ─ render ─ format ─▶ kantata_client/

`load` reads the contract, `overlay` applies the corrections and `semantics` reads the facts that people keep in `overrides/`.
"""
