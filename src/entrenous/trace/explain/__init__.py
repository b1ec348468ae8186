"""A trace as a page and as a PDF that a person, an employer or a court can read."""
