"""Letters at the relay: taken, handed over, withdrawn."""
