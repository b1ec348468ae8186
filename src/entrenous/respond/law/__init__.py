"""Legal routes: which law applies to a case, what a notice under it says, and which deadline it
sets.
"""
