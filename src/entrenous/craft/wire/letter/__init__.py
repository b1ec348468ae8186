"""What goes into letters and blobs, as bytes."""
