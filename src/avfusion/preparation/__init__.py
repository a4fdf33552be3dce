"""Preparation: from a corpus to a store, once, whatever interrupts it.

``prepare`` is the way in. ``workers`` shares the work out over processes, ``shards`` writes some
clips, ``watchdog`` ends decoders that hang, ``leakage`` finds clips that two splits share,
``statistics`` keeps moments of each clip, ``description`` and ``summary`` say what a store holds.

Nothing is imported here: the processes that prepare a corpus would load Lightning in vain.
"""
