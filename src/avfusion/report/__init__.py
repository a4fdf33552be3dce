"""HTML reports: one page about a run, or about many, that needs nothing but itself.

``run_page`` and ``sweep_page`` collect what a page shows, ``views`` what depends on the target (a
new kind of target is a function and a line in ``VIEWS`` there), ``diagnostics`` what
``diagnostics.json`` holds. ``rendering`` fills the templates, which escape every value.
"""
