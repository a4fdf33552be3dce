"""What entry points share. Hydra and OmegaConf are known here, and to encoders of stored maps.

``configuration`` reads what Hydra composed, ``checks`` and ``values`` say what is wrong with it
before any work, ``start`` reads the checkpoint that a training starts from, ``streams`` makes data
that read what a model names, ``assembly`` builds trainer and task, ``rebuild`` builds them of a
checkpoint, ``session`` does it all in a notebook, ``results`` and ``provenance`` are what a run
leaves, ``endings`` what it says where input is wrong.
"""
