"""Mailboxes: who may use one, what lies in it apart from envelopes."""
