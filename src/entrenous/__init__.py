"""Entrenous: private pictures that stay between us. Six verbs: send, carry, trace, stop,
respond, learn.
"""
