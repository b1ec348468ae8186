"""Lists in use: which devices are whose now, who hears of it, and what is wrong with a list."""
