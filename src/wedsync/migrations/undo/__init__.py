"""Undo migrations: rehearsed first, what would be lost counted."""
