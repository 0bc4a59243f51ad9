"""`python -m kantata_client`: the command `kantata`."""

from kantata_client.cli import main

if __name__ == "__main__":
    main()
