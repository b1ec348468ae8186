"""What every room shares: identifiers, errors, secrets, and the nouns that several skills need."""
