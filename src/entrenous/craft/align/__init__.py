"""Lay a found picture over the sent one."""
