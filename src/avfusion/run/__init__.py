"""Building blocks of the entry points.

Hydra is known here, in ``avfusion.benchmark``, and to three modules of ``avfusion.features`` that
build a recorded encoder again: ``face_maps``, ``recorded`` and ``encoders.run``.

``command``, ``help``, ``errors`` and ``composition`` answer the command line; ``configuration``
reads what Hydra composed, ``values`` and ``checks`` refuse what is wrong in it before any work;
``start`` reads the checkpoint that a training starts from, ``build`` builds trainer, data and task,
``restore`` those of a checkpoint, ``diagnosis`` those behind tested predictions; ``notebook`` does
so inside a notebook; ``results``, ``provenance``, ``loggers`` and ``failures`` record what a run
has done.
"""
