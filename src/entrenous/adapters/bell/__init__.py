"""The relay's bell: ``Bell`` within one process."""
