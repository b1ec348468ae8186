"""The platform's gate: register fingerprints, judge uploads, review them, and exchange banks."""
