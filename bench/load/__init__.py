"""What bench/relay.py drives a relay and its peers with: cheap, since it shares their cores."""
