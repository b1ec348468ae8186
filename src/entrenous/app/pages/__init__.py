"""The pages of the app, with one file for each task."""
