"""The gate as seen from outside: by a device, by the platform's own servers, and by reviewers."""
