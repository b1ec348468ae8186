"""The commands of LEARN: ``entrenous check-up`` and ``entrenous learn``."""
