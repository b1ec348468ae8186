"""A process that opens an index of a bank in PostgreSQL and answers queries from stdin.

python -m tests.stop.index.query_process FOLDER URL
"""

import sys
from pathlib import Path

from entrenous.stop.index.maintenance import open_index
from entrenous.stop.store.bank_store import BankStore
from entrenous.stop.store.engine import open_postgres_engine


def main() -> None:
    """For each hexadecimal hash on a line of stdin, print the number of claims within 31 bits."""
    engine = open_postgres_engine(sys.argv[2])
    bank = BankStore(engine)
    with open_index(Path(sys.argv[1]), bank, shards=2) as index:
        print("ready", flush=True)  # noqa: T201
        for line in sys.stdin:
            near = index.find_near_hashes([bytes.fromhex(line)], part=False)
            claims = bank.claims_on_pictures({one.entry for one in near})
            print(len(claims), flush=True)  # noqa: T201
    engine.dispose()


if __name__ == "__main__":
    main()
