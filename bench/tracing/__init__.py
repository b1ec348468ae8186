"""The parts of `bench/trace.py`: each measures one thing and says what it found as plain rows."""
