"""The steps, each as it was when it was published: they know no noun, for nouns change."""
