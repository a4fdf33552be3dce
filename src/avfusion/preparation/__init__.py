"""Preparation: from a corpus to a store, once, whatever interrupts it.

``prepare`` is the entry. ``workers`` splits the work into chunks, which one of the ``executors``
runs; ``attempts`` runs lost ones again, ``shards`` decodes a chunk and copies it into the shards,
``watchdog`` ends decoders that hang. ``streams`` adds what encoders compute, ``precomputed`` the
user's own features. ``leakage`` finds clips that two splits share, ``statistics`` keeps moments of
each clip, ``description`` and ``summary`` describe a store. ``shares`` and ``merge`` do without a
shared file system.

Nothing is imported here: the processes that prepare a corpus would load Lightning in vain.
"""
