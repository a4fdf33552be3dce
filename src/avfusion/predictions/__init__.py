"""Answers for recordings: cut in windows, collected, written, and those that are missing."""
