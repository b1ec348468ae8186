"""Child processes that can only decode: seccomp, Landlock, resource limits, and pipes."""
