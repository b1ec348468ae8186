"""Letters: sealed, opened, and what each kind of them sets off."""
