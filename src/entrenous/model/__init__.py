"""The nouns: frozen dataclasses and the errors. Standard library only."""
