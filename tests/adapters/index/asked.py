"""An index on a bank in PostgreSQL, in a process of its own: asked on standard input.

python -m tests.adapters.index.asked FOLDER URL
"""

import sys
from pathlib import Path

from entrenous.adapters.bank.postgres import open_postgres_engine
from entrenous.adapters.bank.sql_bank import SqlBankStore
from entrenous.adapters.index.tending import open_index


def main() -> None:
    """For each line, a hash in hexadecimal digits: how many claims match it within 31 bits."""
    engine = open_postgres_engine(sys.argv[2])
    bank = SqlBankStore(engine)
    with open_index(Path(sys.argv[1]), bank, shards=2) as index:
        print("ready", flush=True)  # noqa: T201
        for line in sys.stdin:
            near = index.near([bytes.fromhex(line)], part=False)
            claims = bank.claims_on({one.entry for one in near})
            print(len(claims), flush=True)  # noqa: T201
    engine.dispose()


if __name__ == "__main__":
    main()
