"""From scores to a Verdict, with a bound on false accusation."""
