"""What every command shares: output, files, progress bars, typed input, interruptions, exit
statuses.
"""
