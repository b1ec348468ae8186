"""What a message's files are made into: pictures, clips and voice notes, a copy for each device."""
