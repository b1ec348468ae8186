"""Judge an upload: the scans before the answer, their weighing, and the deferred scans."""
