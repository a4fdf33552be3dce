"""Stores of prepared clips, and the loaders of their splits.

A store holds streams, named arrays (``avfusion.features.clip``): those that decoding gives
(``store``), and those that frozen encoders computed of them, or precomputed features of the user
(``computed``). An encoder with ``stream=<name>`` reads one, and nothing else has to know.

Nothing is imported here: the processes that prepare a corpus would load Lightning in vain.
"""
