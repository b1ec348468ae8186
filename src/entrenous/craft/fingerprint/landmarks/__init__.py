"""Landmarks: a few hundred local features of a picture, to find it among ten thousand others."""
