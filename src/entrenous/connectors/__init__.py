"""Other people's systems: servers whose uploads a gate checks, and exchanges of banks."""
