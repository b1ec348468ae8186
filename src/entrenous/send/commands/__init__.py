"""Commands for sending and receiving."""
