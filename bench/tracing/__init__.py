"""The parts of `bench/trace.py`: each module measures one thing and returns its results as rows."""
