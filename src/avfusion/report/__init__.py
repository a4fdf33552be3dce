"""One page of HTML about a run, or about many, that needs nothing but itself.

``markup`` escapes and assembles, ``looks`` is the style sheet. ``answers`` asks the checkpoint
again, ``scores`` counts its answers; ``run_page`` and ``sweep_page`` say what stands where.
"""
