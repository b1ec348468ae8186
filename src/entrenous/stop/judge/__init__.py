"""Judge an upload: the scans before the answer, their evaluation, and the deferred scans."""
