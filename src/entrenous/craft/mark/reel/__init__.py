"""Marks in moving pictures: what follows the camera, and what a run of frames says."""
