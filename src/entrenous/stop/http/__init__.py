"""The gate over HTTP: uploads, registrations, reviews, figures."""
