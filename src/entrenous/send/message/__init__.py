"""A message being sent or received: its draft, files, encryption, blobs and states."""
