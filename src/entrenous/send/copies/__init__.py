"""Marked copies of pictures, clips and sounds: one for each recipient."""
