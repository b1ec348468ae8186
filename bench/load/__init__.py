"""Loads for the benchmarks of relays and gates, and measurements to compare the results with.

A load must take little processor time, because it runs on the same cores as the server.
"""
