"""Claims about teachers of a training."""

import pytest
import torch
from conftest import load, quiet_trainer, save_teacher

from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.run import build, notebook
from avfusion.run.configuration import with_description
from avfusion.run.teacher import list_streams, read_teacher


def configure(store, teacher, *overrides):
    given = ("data=store", f"data.store={store}", "data.batch_size=8", f"distill_from={teacher}")
    cfg = load("train", *given, "callbacks=minimal", *overrides)
    return cfg


def build_student(cfg):
    teacher = read_teacher(cfg)
    data = build.build_data(cfg, "cpu", teacher)
    cfg = with_description(cfg, data.description)
    return build.build_task(cfg, data, None, teacher), data


@pytest.fixture(scope="module")
def teacher(party_store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    return folder, save_teacher(folder, party_store)


def test_a_voice_alone_learns_what_a_fusion_answers_of_both(party_store, teacher):
    folder, taught = teacher
    cfg = configure(party_store, folder, "model=audio_only", "distillation.weight=0.25")
    assert sorted(list_streams(read_teacher(cfg))) == ["frames", "mfcc"]
    task, data = build_student(cfg)
    assert set(data.streams) == {"frames", "mfcc"}
    clips = data.dataset("train").__getitems__([0, 1, 2, 3]).with_floats()
    with torch.no_grad():
        theirs = (taught.network.eval()(clips).logits / 2).log_softmax(dim=1)
    minimized, scores = task.train().step(clips, task.train_metrics)
    ours = (scores.logits / 2).log_softmax(dim=1)
    divergence = (theirs.exp() * (theirs - ours)).sum(dim=1).mean()
    own = task.loss(scores.logits, clips.label)
    torch.testing.assert_close(minimized, 0.75 * own + 0.25 * 4 * divergence)


def test_a_teacher_learns_nothing_drops_out_nothing_and_is_in_no_checkpoint(party_store, tmp_path):
    dropping = tmp_path / "dropping"
    save_teacher(dropping, party_store, "lowrank", "model.network.head.dropout=0.5")
    task, data = build_student(configure(party_store, dropping, "model=audio_only"))
    (network,) = task.remedies["distillation"].teacher
    before = {name: value.clone() for name, value in network.state_dict().items()}
    trainer = quiet_trainer(max_epochs=1, limit_val_batches=1)
    trainer.fit(task, datamodule=data)
    assert not any(module.training for module in network.modules())
    clips = data.dataset("train").__getitems__([0, 1]).with_floats()
    assert torch.equal(network(clips).logits, network(clips).logits)
    assert not any(value.requires_grad or value.grad is not None for value in network.parameters())
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    own = {id(value) for value in task.parameters()}
    assert own.isdisjoint(map(id, network.parameters()))
    assert not any("face_encoder" in name or "teacher" in name for name in task.state_dict())
    learned = {id(p) for group in trainer.optimizers[0].param_groups for p in group["params"]}
    assert learned == own


def test_a_notebook_builds_the_distillation_that_the_program_does(party_store, teacher):
    folder, _ = teacher
    cfg = configure(party_store, folder, "model=audio_only")
    ours, data = notebook.build(cfg)
    theirs, _ = build_student(cfg)
    assert ours.recipe == theirs.recipe and list(ours.remedies) == ["distillation"]
    assert all(torch.equal(value, theirs.state_dict()[n]) for n, value in ours.state_dict().items())
    assert data.network_streams == ("mfcc",)


def test_the_first_weights_are_those_without_a_teacher(party_store, teacher):
    folder, _ = teacher
    with_one, _ = build_student(configure(party_store, folder))
    without, _ = build_student(configure(party_store, "null"))
    ours, theirs = with_one.state_dict(), without.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_the_encoder_of_a_stream_that_only_the_teacher_reads_does_not_travel(mapped_store):
    data = FaceAudioDataModule(str(mapped_store), streams=["mfcc"], more_streams=["face_map"])
    assert data.streams == ("mfcc", "face_map") and data.network_streams == ("mfcc",)
    assert data.encoders == {}
    assert set(FaceAudioDataModule(str(mapped_store), streams=["face_map"]).encoders) == {
        "face_map"
    }


def test_the_recipe_says_what_was_learned_of_which_teacher(party_store, teacher):
    folder, _ = teacher
    task, _ = build_student(configure(party_store, folder, "distillation.temperature=3"))
    said = task.recipe.distillation
    assert (said["temperature"], said["weight"], len(said["teacher"])) == (3, 0.5, 64)
    assert set(task.recipe.trained_on) == {"subjects", "recordings"}
    from avfusion.checkpoint import check_same_recipe

    other, _ = build_student(configure(party_store, "null"))
    with pytest.raises(ValueError, match="was trained with another distillation"):
        check_same_recipe(folder, {"recipe": task.recipe.plain()}, other.recipe)


def test_a_teacher_of_other_classes_is_refused_in_a_sentence(recordings_store, teacher):
    folder, _ = teacher
    sentence = r"answers with happy, .* have high, low \(single_label\): distill from a run"
    with pytest.raises(ValueError, match=sentence):
        build_student(configure(recordings_store, folder))


def test_what_a_teacher_was_trained_on_is_not_tested_on(party_store, recordings_store, tmp_path):
    """The teacher has seen, in another store, the people of the test."""
    from avfusion.data.train_test_overlap import digest_training_clips

    save_teacher(tmp_path / "t", party_store)
    data = FaceAudioDataModule(str(party_store))
    file = tmp_path / "t" / "checkpoints" / "best.ckpt"
    checkpoint = torch.load(file, weights_only=True)
    seen = digest_training_clips(data.store, data.splits.where("test"))
    checkpoint["recipe"] |= {"trained_on": seen}
    checkpoint["recipe"]["description"] |= {"checksums": {"of": "another store"}}
    torch.save(checkpoint, file)
    cfg = configure(party_store, tmp_path / "t")
    with pytest.raises(ValueError, match="so a test would score memory"):
        build.find_training_overlap(cfg, data, None, read_teacher(cfg))
    task, _ = build_student(cfg)
    assert task.recipe.trained_on["subjects"].count(" ") > seen["subjects"].count(" ")
