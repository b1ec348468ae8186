"""One message on its way: its draft, its files, its sealing, its blobs and its name."""
