"""Formats that only the send package reads and writes."""
