"""How a relay's schema came to be, step by step, and how a database is brought along."""
