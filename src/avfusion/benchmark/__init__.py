"""Benchmark of training steps on synthetic clips.

``sides`` are what is compared, ``step`` one training step of a side and what it is made of,
``loops`` a bare loop and Lightning's Trainer over the same data; ``rounds`` measures all in turns,
``synthetic`` writes the store that all read; ``measure`` puts these together, ``tables`` shows what
was measured.
"""
