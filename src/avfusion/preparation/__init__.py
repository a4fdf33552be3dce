"""Preparation: from a corpus to a store, once, whatever interrupts it.

``prepare`` is the entry. ``workers`` splits the work into chunks, which one of the ``executors``
runs, ``shards`` decodes a chunk, ``watchdog`` ends decoders that hang, ``streams`` encodes,
``leakage`` finds clips that two splits share, ``statistics`` keeps moments of each clip,
``description`` and ``summary`` describe a store.

Nothing is imported here: the processes that prepare a corpus would load Lightning in vain.
"""
