"""One page of HTML about a run, or about many, that needs nothing but itself.

``markup`` escapes and assembles, ``looks`` is the style sheet. ``sources`` reads what a run
predicted, ``views`` says what is shown of it by the kind of labels (a new kind is a file here and a
line in ``VIEWS``); ``run_page`` and ``sweep_page`` say what stands where.
"""
