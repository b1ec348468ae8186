"""Mark copies of pictures, clips and sounds for people who get them by another channel."""
