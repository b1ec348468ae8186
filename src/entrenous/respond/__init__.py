"""RESPOND: open a case, preserve evidence, choose a route, draft a notice, count the deadlines."""
