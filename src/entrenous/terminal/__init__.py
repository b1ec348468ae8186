"""Shared by all commands: output, files, progress bars, typed input, interrupts, exit statuses."""
