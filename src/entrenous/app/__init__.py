"""The person's pages: everything that she does, in her browser, served on this machine alone."""
