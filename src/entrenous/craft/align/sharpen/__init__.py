"""From a rough idea of how a picture lies to a fraction of a pixel."""
