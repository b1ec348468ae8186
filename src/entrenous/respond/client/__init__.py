"""Network clients for stamp authorities, RDAP servers, and pages of the public web."""
