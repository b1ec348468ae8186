"""The `entrenous` command."""
