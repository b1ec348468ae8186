"""Is a received file a copy as this program writes one, whole, and nothing else?"""
