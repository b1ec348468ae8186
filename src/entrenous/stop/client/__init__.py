"""Clients of a gate: for devices, for the platform's own servers, and for reviewers."""
