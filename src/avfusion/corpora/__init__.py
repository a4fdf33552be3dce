"""Corpora: raw data sets, read as recordings with clip id, label, subject, session and split.

A corpus is a class with

* ``name``, by which its stores are called;
* ``on_error``: ``"skip"`` or ``"raise"``, for a clip that cannot be read;
* ``allowed_leaks``: those leaks of ``avfusion.preparation.leakage`` that are in the nature of this
  corpus, whatever its splits; ``near_duplicates``: its clips are alike and no copies of each other;
* ``read() -> Contents``, which opens no recording, so that every error in the description of a
  corpus shows before long work starts.

Corpora whose file names describe the clips inherit ``PublishedCorpus``
(``published.py``). A corpus that may have to render or download its files first has a property
``is_there``. The splits of a corpus are its publisher's assignment, one of many: see
``avfusion.data.splits``.
"""

from avfusion.corpora.afew import Afew
from avfusion.corpora.aff_wild2 import AffWild2
from avfusion.corpora.cifar10 import Cifar10
from avfusion.corpora.cocktail_arousal import CocktailArousal
from avfusion.corpora.cocktail_party import CocktailParty
from avfusion.corpora.crema_d import CremaD
from avfusion.corpora.enterface05 import Enterface05
from avfusion.corpora.grid import Grid
from avfusion.corpora.iemocap import Iemocap
from avfusion.corpora.manifest import Manifest
from avfusion.corpora.mead import Mead
from avfusion.corpora.meld import Meld
from avfusion.corpora.mnist import Mnist
from avfusion.corpora.ravdess import Ravdess
from avfusion.corpora.recording import SPLITS, Box, Contents, Corpus, Recording
from avfusion.corpora.savee import Savee
from avfusion.corpora.voxceleb1 import Voxceleb1

__all__ = [
    "SPLITS",
    "Afew",
    "AffWild2",
    "Box",
    "Cifar10",
    "CocktailArousal",
    "CocktailParty",
    "Contents",
    "Corpus",
    "CremaD",
    "Enterface05",
    "Grid",
    "Iemocap",
    "Manifest",
    "Mead",
    "Meld",
    "Mnist",
    "Ravdess",
    "Recording",
    "Savee",
    "Voxceleb1",
]
