"""Programs that measure what a test cannot hold in seconds. Run them from the repository's root."""
