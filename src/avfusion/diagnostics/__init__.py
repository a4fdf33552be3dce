"""Diagnostics of a tested network: what each modality contributes, how sure it is, whom it fails.

A section is a class with a file of its own, made with its options (``conf/diagnostics``); its
``measure`` takes ``Evidence`` and gives a ``Section``: numbers, tables and charts in plain
containers, which ``diagnostics.json`` holds and the page, TensorBoard and the terminal show. What
depends on outputs alone comes from ``predictions.npz``; for the rest, ``Evidence.compute`` gives
the outputs of the same clips under a ``Change``. What is not defined for a target or a network, or
cannot be computed here, raises ``NotMeasured`` with a sentence.

Over folds, the outputs of all networks are pooled, so that each clip counts once; of several seeds,
every number is the mean.
"""
