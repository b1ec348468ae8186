"""A sound as Chromaprint's 32-bit words."""
