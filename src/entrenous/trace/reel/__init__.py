"""Find which sent clip a found clip or frame shows, lay it over, and listen to its frames."""
