"""Models: networks and their parts.

A network takes encoders of both modalities, an attention or a token fusion, a fusion and a head
through its constructor; ``conf/model`` names them. Each kind of part is a package whose docstring
is its contract.
"""
