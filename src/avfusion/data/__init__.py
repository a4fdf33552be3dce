"""Stores of prepared clips, and the loaders of their splits.

Nothing is imported here: the processes that prepare a corpus would load Lightning in vain.
"""
