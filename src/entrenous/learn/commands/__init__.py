"""What is typed for LEARN: ``entrenous check-up`` and ``entrenous learn``."""
