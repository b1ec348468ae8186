"""Letters, forms and pages along a legal route, drafted from a case; nothing is sent from here."""
