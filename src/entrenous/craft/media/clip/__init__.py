"""Read clips frame by frame, in a child when a stranger made them; write marked ones."""
