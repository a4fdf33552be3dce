"""Evaluation after training: predictions of runs and of recordings, and comparison of runs.

``predictions`` reads what a test wrote, ``inference`` predicts for clips and recordings,
``windows`` cuts long ones; ``runs``, ``aggregate`` and ``tables`` compare run folders.
``out_of_fold`` pools what the folds of a setting predict, ``subject_bootstrap`` and
``pooled_scores`` score that, ``pooled_tables`` writes it, ``probe`` fits trivial baselines.

Nothing is imported here: tables of runs need no torch.
"""
