"""Turn a corpus into a store: checked, decoded, cropped, ready to read.

python src/prepare.py corpus=manifest corpus.root=<folder with a manifest.csv>
python src/prepare.py corpus.root=<folder> features/audio_stream=whisper
python src/prepare.py corpus.root=<folder> prepare.dry_run=true
"""

from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig

from avfusion.addresses import check_folder
from avfusion.run.command import run
from avfusion.run.configuration import (
    check_complete,
    check_config,
    output_folder,
    without_corpus,
)
from avfusion.run.errors import exit_on_input_error, exit_on_refusal


@hydra.main(version_base="1.3", config_path="../conf", config_name="prepare")
@exit_on_refusal()
def main(cfg: DictConfig) -> None:
    """Prepare one corpus and print what was prepared and how to train on it."""
    with exit_on_input_error():
        is_merge = cfg.prepare.merge is not None
        if is_merge and cfg.prepare.shard is not None:
            raise ValueError("prepare.merge joins shares, prepare.shard makes one: give only one.")
        cfg = without_corpus(cfg) if is_merge else cfg  # shares know theirs
        check_complete(cfg)

    # These import torch: seconds, once the command line is known to be complete.
    import avfusion.run.warning_filters  # noqa: F401  imported for its effect
    from avfusion.data.index import check_export, export_index
    from avfusion.data.store import Store, read_description
    from avfusion.preparation.description import verify_checksums
    from avfusion.preparation.merge import merge_shares
    from avfusion.preparation.prepare import Preparation
    from avfusion.preparation.shares import summarize_share
    from avfusion.preparation.summary import list_streams, preview_store, summarize_store
    from avfusion.preparation.upload import check_upload, upload_store
    from avfusion.run.corpus_protocol import find_protocol

    with exit_on_input_error():
        check_config(cfg)
        stores, limit, share = cfg.prepare.stores, cfg.prepare.limit, cfg.prepare.shard
        check_folder(stores, "prepare.stores")
        upload = None if cfg.prepare.upload is None else check_upload(cfg.prepare.upload)
        export = None if cfg.prepare.export is None else check_export(Path(cfg.prepare.export))
        if is_merge:
            store, already_there = merge_shares(list(cfg.prepare.merge), stores)
            description = read_description(store)
            choice, allowed = description["corpus"], description["allowed_leaks"]
        else:
            corpus = instantiate(cfg.corpus, _convert_="all")
            features = instantiate(cfg.features, _convert_="all")
            executor = instantiate(cfg.prepare.executor, _convert_="all")
            choice, allowed = HydraConfig.get().runtime.choices["corpus"], corpus.allowed_leaks
            if cfg.prepare.dry_run:
                print(preview_store(corpus, features, stores, limit, share))
                return
            executor.check()
            preparation = Preparation(corpus, features, stores, limit, share)
            if not cfg.prepare.streams:
                print(list_streams(preparation))
                return
            already_there = preparation.is_done
            store = preparation.run(executor, cfg.prepare.device, str(cfg.prepare.precision))
        if cfg.prepare.verify:
            verify_checksums(store)
        if export is not None:
            export_index(Store(store).index, export)
        address = None if upload is None else upload_store(store, upload)

    if share is None:
        text = summarize_store(store, already_there, find_protocol(choice, allowed))
    else:
        text = summarize_share(store, len(Store(store)))
    (output_folder() / "summary.txt").write_text(text + "\n", encoding="utf-8")
    print(text)
    if address is not None:
        print(f"Uploaded, to train on anywhere with: data=store data.store={address}")


if __name__ == "__main__":
    run(main)
