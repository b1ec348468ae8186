"""Decoder child processes confined by seccomp, Landlock, resource limits, and pipes."""
