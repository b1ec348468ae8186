"""One photograph: which ones are tried, how the leak lies on it, what its copies say."""
