"""Claims about the loaders."""

import csv
import pickle
import shutil
from collections import defaultdict
from dataclasses import replace
from itertools import chain
from types import SimpleNamespace

import lightning as L
import numpy as np
import pytest
import torch
from conftest import build_for, quiet_trainer, single_label, write_manifest

from avfusion.corpora import Manifest
from avfusion.data.augmentation import AudioAugmentation, FaceAugmentation
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.data.store import Store
from avfusion.features.policies import Policies
from avfusion.preparation import prepare as preparation
from avfusion.preparation.executors.local import InProcess, Local
from avfusion.preparation.prepare import prepare
from avfusion.targets import MultiLabel, SingleLabel

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers")


class Listener(L.LightningModule):
    """Learns nothing, and keeps what it is given."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.heard = defaultdict(list)

    def training_step(self, clips, batch):
        self.heard["train", self.current_epoch].append(clips)
        return self.weight * 0

    def validation_step(self, clips, batch):
        self.heard["val"].append(clips)

    def test_step(self, clips, batch):
        self.heard["test"].append(clips)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


def rows(batches):
    return torch.cat([clips.row for clips in batches]).tolist()


def deafening(clips):
    return clips.with_stream("mfcc", clips.streams["mfcc"] + 1000)


@pytest.fixture
def data(recordings_store):
    return FaceAudioDataModule(str(recordings_store), batch_size=6)


@pytest.fixture
def after_two_epochs(recordings_store):
    """What two epochs of training, and a test, were given."""
    augmentation = {"audio": deafening}
    data = FaceAudioDataModule(str(recordings_store), augmentation=augmentation, batch_size=6)
    listener = Listener()
    trainer = quiet_trainer(max_epochs=2, log_every_n_steps=1)
    trainer.fit(listener, data)
    trainer.test(listener, data, verbose=False)
    return listener.heard


def test_each_epoch_of_a_trainer_reads_all_clips_in_another_order(after_two_epochs, data):
    first, second = (rows(after_two_epochs["train", epoch]) for epoch in (0, 1))
    for epoch in (first, second):
        assert sorted(epoch) == data.splits.rows("train").tolist()
    assert first != second


def test_only_training_clips_are_augmented(after_two_epochs):
    for stage, batches in after_two_epochs.items():
        loud = [(clips.streams["mfcc"] > 500).all().item() for clips in batches]
        assert set(loud) == {stage not in ("val", "test")}


def test_pictures_reach_the_network_between_zero_and_one(after_two_epochs, data):
    for clips in chain(*after_two_epochs.values()):
        stored = data.store.read("frames", clips.row.numpy())
        assert clips.streams["frames"].dtype == torch.float32
        np.testing.assert_allclose(clips.streams["frames"].numpy(), stored.numpy() / 255, atol=1e-6)


def test_validation_and_test_clips_are_read_in_order(data):
    for split, loader in (("val", data.val_dataloader()), ("test", data.test_dataloader())):
        assert rows(loader) == data.splits.rows(split).tolist()
    assert rows(data.predict_dataloader()) == rows(data.test_dataloader())


def test_the_split_to_test_on_can_be_chosen(recordings_store):
    data = FaceAudioDataModule(str(recordings_store), eval_split="val")
    assert rows(data.test_dataloader()) == rows(data.val_dataloader())


def test_the_order_depends_on_the_seed_of_the_data(recordings_store):
    orders = [
        rows(FaceAudioDataModule(str(recordings_store), batch_size=4, seed=seed).train_dataloader())
        for seed in (1, 1, 2)
    ]
    assert orders[0] == orders[1] != orders[2]


def test_batches_are_of_the_given_size_and_the_last_holds_the_rest(recordings_store):
    data = FaceAudioDataModule(str(recordings_store), batch_size=5)
    loader = data.train_dataloader()
    assert [len(clips.row) for clips in loader] == [5, 5, 5, 1] and len(loader) == 4


@pytest.mark.parametrize("split", ["train", "val"])
def test_processes_share_out_the_clips(recordings_store, split):
    shares = []
    for rank in range(3):
        data = FaceAudioDataModule(str(recordings_store), batch_size=2)
        data.trainer = SimpleNamespace(global_rank=rank, world_size=3)
        shares.append(rows(data.loader(split, shuffle=split == "train")))
    read, clips = list(chain(*shares)), data.splits.rows(split).tolist()
    assert len(set(read)) == len(read) and set(read) <= set(clips)
    assert {len(share) for share in shares} == {5} if split == "train" else set(read) == set(clips)


@pytest.mark.filterwarnings("ignore:.*fork")
@pytest.mark.usefixtures("shared_by_files")
def test_a_worker_reads_the_same_batches(recordings_store, data):
    worker = FaceAudioDataModule(str(recordings_store), batch_size=6, num_workers=1)
    pairs = zip(data.train_dataloader(), worker.train_dataloader(), strict=True)
    for ours, theirs in pairs:
        ours, theirs = (clips.named() for clips in (ours, theirs))
        del ours["box"], theirs["box"]  # not a number
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_classes_are_those_of_the_store_unless_others_are_given(recordings_store):
    own = FaceAudioDataModule(str(recordings_store))
    network = single_label("low", "high")
    other = FaceAudioDataModule(str(recordings_store), target=lambda description: network)
    assert own.target.output_names == ["high", "low"] and other.target is network
    labels = [next(iter(data.val_dataloader())).label for data in (own, other)]
    assert torch.equal(labels[0], 1 - labels[1])


def test_a_target_for_another_kind_of_labels_is_refused(recordings_store, several_store):
    for store, target, has in (
        (recordings_store, MultiLabel, "one class, and the target MultiLabel is for .* several"),
        (several_store, SingleLabel, "several classes, and the target SingleLabel is for .* one"),
    ):
        data = FaceAudioDataModule(str(store), target=target)
        with pytest.raises(ValueError, match=f"{has} class.*prepare the corpus with corpus.multi"):
            data.prepare_data()


def test_the_description_says_how_many_outputs_the_target_needs(recordings_store):
    assert FaceAudioDataModule(str(recordings_store)).description["outputs"] == 2
    three = FaceAudioDataModule(str(recordings_store), target=lambda _: single_label(*"abc"))
    assert three.description["outputs"] == 3


def test_the_store_of_a_corpus_is_made_where_there_is_none(
    party, small_features, tmp_path, in_process
):
    data = FaceAudioDataModule(str(tmp_path), party, small_features)
    data.prepare_data()
    assert data.path.parent == tmp_path and data.description["clips"] == party.clips
    assert Store(data.path).description == data.store.description


def test_the_store_of_a_corpus_is_found_again(party, party_store, small_features, monkeypatch):
    monkeypatch.setattr(preparation, "write_description", lambda *_: pytest.fail("prepared again"))
    data = FaceAudioDataModule(str(party_store.parent), party, small_features)
    assert len(data.store) == 44 and data.path == party_store


def test_a_module_reads_nothing_before_it_is_asked(tmp_path):
    data = FaceAudioDataModule(str(tmp_path / "none"))
    with pytest.raises(FileNotFoundError, match=r"No store in .*none"):
        data.prepare_data()


def test_an_empty_split_is_refused_with_those_that_there_are(recordings_store):
    data = FaceAudioDataModule(str(recordings_store), splits={"train": 0.5, "test": 0.5})
    with pytest.raises(ValueError, match=r"no val clips, only \{'train': 12"):
        data.val_dataloader()


@pytest.mark.parametrize(
    ("option", "value"), [("batch_size", 0), ("num_workers", -1), ("eval_split", "dev")]
)
def test_bad_options_are_refused_with_their_value(option, value):
    with pytest.raises(ValueError, match=rf"data\.{option} must be .*got '?{value}"):
        FaceAudioDataModule("store", **{option: value})


def test_batches_hold_the_streams_that_are_asked_for_as_the_store_has_them(mapped_store):
    for streams in (("frames", "mfcc"), ("face_map", "waveform"), ("waveform",), ("frames",)):
        data = FaceAudioDataModule(str(mapped_store), batch_size=6, streams=streams)
        (batch,) = data.val_dataloader()
        store, rows = data.store, data.splits.rows("val")
        clips = data.on_after_batch_transfer(batch, 0)
        assert tuple(clips.streams) == streams
        for name, values in clips.streams.items():
            unit = {"frames": 255, "waveform": 2**15}.get(name, 1)
            assert values.dtype == torch.float32
            assert torch.equal(values, store.read(name, rows).float() / unit)
        assert clips.lengths.keys() == {"mfcc", "waveform"} & {*streams}
        assert torch.equal(data.shown(clips, "face"), store.read("frames", rows).float() / 255)
        assert torch.equal(data.shown(clips, "audio"), store.read("mfcc", rows))


def test_by_default_the_first_stream_of_each_modality_is_read(mapped_store):
    data = FaceAudioDataModule(str(mapped_store))
    assert data.streams == ("frames", "mfcc") and data.modalities == ("face", "audio")


@pytest.fixture(scope="module")
def halves(recordings, long_features, tmp_path_factory):
    """The stores of the same recordings without sound, and without pictures, by what is left."""
    masking = replace(long_features, policies=Policies(missing="mask"))
    with (recordings / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))

    stores = {}
    for left, lost in (("face", "audio_path"), ("audio", "image_path")):
        folder = tmp_path_factory.mktemp(left)
        write_manifest(folder, [{k: v for k, v in row.items() if k != lost} for row in rows])
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Local, "run", InProcess.run)
            corpus = Manifest(str(folder), media_root=str(recordings))
            stores[left] = prepare(corpus, masking, tmp_path_factory.mktemp("stores"))
    return stores


@pytest.mark.slow
@pytest.mark.parametrize(("left", "removed"), [("face", "audio"), ("audio", "face")])
@pytest.mark.parametrize("opened", [False, True])
def test_a_modality_taken_away_is_as_in_a_store_of_the_clips_recorded_without(
    halves, recordings_store, left, removed, opened
):
    streams = ("frames", "mfcc", "waveform")
    recorded = FaceAudioDataModule(str(halves[left]), batch_size=6, streams=streams)
    if opened:
        whole = FaceAudioDataModule(str(recordings_store), batch_size=6, streams=streams)
        whole.prepare_data()
        data = whole.without(removed)
        assert whole.store.has_face.all() and whole.store.has_audio.all()
    else:
        options = {"streams": streams, "modalities": [left]}
        data = FaceAudioDataModule(str(recordings_store), batch_size=6, **options)

    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        for one, other in zip(getattr(data, loader)(), getattr(recorded, loader)(), strict=True):
            ours, theirs = one.named(), other.named()
            assert ours.keys() == theirs.keys()
            for name, values in ours.items():
                assert torch.equal(values.nan_to_num(-7), theirs[name].nan_to_num(-7)), name
                assert values.dtype == theirs[name].dtype
                assert values.stride() == theirs[name].stride()
    task = build_for(whole if opened else data, "lowrank")
    outputs = [
        torch.cat([values for _, values, _ in quiet_trainer().predict(task, datamodule=each)])
        for each in (data, recorded)
    ]
    assert torch.equal(*outputs)


def test_taking_a_modality_away_reaches_stored_maps_and_the_workers_of_a_loader(mapped_store):
    data = FaceAudioDataModule(str(mapped_store), batch_size=6, streams=("face_map", "mfcc"))
    (clips,) = data.without("face").val_dataloader()
    assert not clips.streams["face_map"].any() and clips.streams["mfcc"].any()
    assert not clips.has_face.any() and clips.has_audio.all() and clips.box.isnan().all()
    store = pickle.loads(pickle.dumps(data.without("face").store))
    assert store.removed == ("face",) and not store.has_face.any()


def test_no_more_can_be_taken_away_than_leaves_something_to_read(recordings_store):
    data = FaceAudioDataModule(str(recordings_store), streams=("mfcc",))
    with pytest.raises(ValueError, match=r"Without audio nothing is left .* reads, audio: leave"):
        data.without("audio")
    with pytest.raises(ValueError, match="voice cannot be taken away: the modalities are face, au"):
        data.without("voice")
    path, streams = str(recordings_store), ("mfcc",)
    with pytest.raises(ValueError, match="Without audio nothing is left"):
        FaceAudioDataModule(path, streams=streams, modalities=["face"]).prepare_data()
    for wrong in (["voice"], [], "f"):
        with pytest.raises(ValueError, match="modalities must be some of face, audio, such as"):
            FaceAudioDataModule(path, modalities=wrong)
    assert data.without("face").kept == ("audio",)  # which this network does not read anyway
    both = FaceAudioDataModule(path).without("face")
    with pytest.raises(ValueError, match="Without face, audio nothing is left"):
        both.without("audio")


def test_no_array_is_opened_but_those_that_are_read(mapped_store, tmp_path):
    """The others are taken away, so that whoever opened them would fail."""
    for streams in (("frames",), ("mfcc",), ("face_map", "mfcc"), ("waveform",)):
        store = shutil.copytree(mapped_store, tmp_path / "-".join(streams))
        for name in {"frames", "mfcc", "waveform", "face_map"} - {*streams}:
            shutil.rmtree(store / name)
        data = FaceAudioDataModule(str(store), batch_size=6, streams=streams)
        trainer = quiet_trainer(max_epochs=1, log_every_n_steps=1)
        trainer.fit(Listener(), data)
        trainer.test(Listener(), data, verbose=False)
        computed = {name for name, one in data.store.computed.items() if one.arrays}
        assert {*data.store.opened} | computed == {*streams}
        both = {"frames": "face", "face_map": "face", "mfcc": "audio", "waveform": "audio"}
        assert {*data.modalities} == {both[name] for name in streams}


def test_a_stream_that_a_store_lacks_is_refused_with_those_that_it_has(
    recordings_store, party, small_features, tmp_path, in_process
):
    sentence = (
        r"has no stream face_map, .* only frames, mfcc, waveform: .*features\.face_maps\.run=<run>"
    )
    data = FaceAudioDataModule(str(recordings_store), streams=("face_map", "mfcc"))
    with pytest.raises(ValueError, match=rf"The store in {recordings_store} {sentence}"):
        data.prepare_data()
    with pytest.raises(ValueError, match=rf"What is prepared in {tmp_path} {sentence}"):
        FaceAudioDataModule(str(tmp_path), party, small_features, streams=("face_map",))
    assert not list(tmp_path.iterdir())


def test_changes_of_what_is_not_read_are_left_out_and_said_to_be(mapped_store, caplog):
    caplog.set_level("INFO", "avfusion")
    augmentation = {"face": FaceAugmentation(), "audio": AudioAugmentation(), "own": deafening}
    for streams, kept in (
        (("frames", "mfcc"), [FaceAugmentation, AudioAugmentation]),
        (("face_map", "mfcc"), [AudioAugmentation]),
        (("face_map", "waveform"), []),
    ):
        caplog.clear()
        data = FaceAudioDataModule(str(mapped_store), augmentation=augmentation, streams=streams)
        data.prepare_data()
        assert [type(change) for change in data.augmentation[:-1]] == kept
        assert data.augmentation[-1] is deafening
        said = [record.message for record in caplog.records if "left out" in record.message]
        assert len(said) == 2 - len(kept)
        assert ("face_map" in streams) == any("stream frames" in sentence for sentence in said)


def test_its_state_carries_what_computed_the_streams_that_are_read(mapped_store):
    for streams in (("frames", "mfcc"), ("face_map", "mfcc")):
        data = FaceAudioDataModule(str(mapped_store), streams=streams)
        carried = data.state_dict().get("encoders", {})
        assert carried.keys() == {"face_map"} & {*streams}
        for name, weights in carried.items():
            kept = torch.load(mapped_store / name / "encoder.pt", weights_only=True)
            assert kept.keys() == weights.keys()
            assert all(torch.equal(weights[key], value) for key, value in kept.items())
        data.load_state_dict(data.state_dict() | {"clips": 4, "clips_per_step": 2})
        assert data.position == {"clips": 4, "clips_per_step": 2}
