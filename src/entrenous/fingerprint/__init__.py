"""Perceptual hashes of pictures, clips and sounds, and exact search among them."""
