"""Corpora: how the files of a data set name clip, label, subject, session and split.

A corpus is a class with a ``name``, an ``on_error`` (``"skip"`` or ``"raise"``: what becomes of a
clip that cannot be read), the names of ``allowed_leaks`` (those of
``avfusion.preparation.leakage`` that are in the nature of this corpus, whatever its splits), and a
``read()`` that returns its checked ``Contents``. Reading opens no recording, so every mistake in
the description of a corpus shows before long work starts. One that may have to render or download
its files first says whether they are there, in ``is_there``. What a corpus says of splits is its
own assignment, which is one of many: see ``avfusion.data.splits``.
"""

from avfusion.corpora.cifar10 import Cifar10
from avfusion.corpora.cocktail_arousal import CocktailArousal
from avfusion.corpora.cocktail_party import CocktailParty
from avfusion.corpora.manifest import Manifest
from avfusion.corpora.mnist import Mnist
from avfusion.corpora.recording import SPLITS, Box, Contents, Corpus, Recording

__all__ = [
    "SPLITS",
    "Box",
    "Cifar10",
    "CocktailArousal",
    "CocktailParty",
    "Contents",
    "Corpus",
    "Manifest",
    "Mnist",
    "Recording",
]
