"""Perceptual hashes and their distance."""
