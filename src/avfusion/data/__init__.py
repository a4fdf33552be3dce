"""Stores of prepared clips, and the loaders of their splits.

A store holds streams, named arrays (``avfusion.features.clip``). To add one, such as what a
frozen encoder makes of the sound, write <store>/<name>/00000.npy, [clips, ...], with each clip in
the shard and place that the index says, for a sequence also lengths.npy, [clips], in the order of
the index, and say what it is in the description, under streams.<name> (``Stream.plain``). An
encoder with ``stream=<name>`` then reads it, and nothing else has to know.

Nothing is imported here: the processes that prepare a corpus would load Lightning in vain.
"""
