"""Evaluation after training: predictions of runs and of recordings, and comparison of runs.

``predictions`` reads what a test wrote, ``inference`` predicts for clips and recordings,
``windows`` cuts long ones; ``runs``, ``aggregate`` and ``tables`` compare run folders.

Nothing is imported here: tables of runs need no torch.
"""
