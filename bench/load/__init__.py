"""The loads of the benchmarks of relays and gates, and what these are compared with.

A load takes little processor time, because it runs on the same cores as the server.
"""
