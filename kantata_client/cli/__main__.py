"""`python -m kantata_client.cli`."""

from kantata_client.cli import main

main()
