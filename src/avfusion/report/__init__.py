"""One page of HTML about a run, or about many, that needs nothing but itself.

``markup`` escapes and assembles, ``looks`` is the style sheet. ``sources`` reads what a run
predicted, ``scores`` counts it; ``run_page`` and ``sweep_page`` say what stands where.
"""
