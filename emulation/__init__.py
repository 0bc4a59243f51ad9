"""What the sandbox emulates of the contract, found out by requests: `python -m emulation` writes `docs/coverage.md`."""
