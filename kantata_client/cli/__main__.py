"""`python -m kantata_client.cli`."""

from kantata_client.cli import main

if __name__ == "__main__":
    main()
