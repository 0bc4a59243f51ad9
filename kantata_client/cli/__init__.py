"""The command `kantata`, which needs the extra `cli`."""

from __future__ import annotations


def main() -> None:
    """Run the command line."""
    try:
        from kantata_client.cli._commands import app
    except ImportError as error:
        raise SystemExit(
            f"The command kantata needs {error.name}, which is not installed: pip install 'kantata-client[cli]'"
        ) from None
    except KeyboardInterrupt:  # Ctrl-C while modules are imported
        raise SystemExit(130) from None
    app()
