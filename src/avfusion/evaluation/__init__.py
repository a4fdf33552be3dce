"""Evaluation after training: predictions of runs and of recordings, and runs side by side.

``predictions`` reads what a test wrote, ``inference`` asks a network about recordings, ``windows``
cuts long ones; ``runs``, ``aggregate`` and ``tables`` compare run folders.

Nothing is imported here: tables of runs need no torch.
"""
