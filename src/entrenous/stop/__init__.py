"""STOP: protect a picture, judge an upload, review, keep the banks (the platform)."""
