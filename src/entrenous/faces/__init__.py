"""How people and programs reach the verbs."""
