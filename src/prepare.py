"""Turn a corpus into a store: checked, decoded, cropped, ready to read.

python src/prepare.py corpus=manifest corpus.root=<folder with a manifest.csv>
"""

import hydra
from hydra.utils import instantiate
from omegaconf import DictConfig

from avfusion import run
from avfusion.data.description import summary
from avfusion.data.prepare import prepare


@hydra.main(version_base="1.3", config_path="../conf", config_name="prepare")
def main(cfg: DictConfig) -> None:
    """Prepare one corpus and print how to train on it."""
    with run.one_sentence():
        corpus = instantiate(cfg.corpus, _convert_="all")
        features = instantiate(cfg.features, _convert_="all")
        store = prepare(corpus, features, cfg.prepare.stores, cfg.prepare.workers)
    print(summary(store))


if __name__ == "__main__":
    main()
