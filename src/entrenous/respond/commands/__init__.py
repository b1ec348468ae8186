"""Commands for a person whose picture has leaked: case, evidence, law, help."""
