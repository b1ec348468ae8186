"""The relay's blobs: ``BlobStore`` in files, and in memory."""
