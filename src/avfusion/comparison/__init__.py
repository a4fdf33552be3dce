"""Runs side by side: what their folders hold, how settings compare over seeds, and tables of it."""
