"""The formats that SEND alone speaks."""
