"""Perceptual hashes of pictures, clips and sounds, and exact search in sets of them."""
