"""What all commands share: output, files, progress bars, typed input, interrupts, exit statuses."""
