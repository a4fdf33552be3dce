"""Claims about clips that are mixed by twos."""

import pytest
import torch
import torch.nn.functional as F
from conftest import build, build_for, encoded_labels, quiet_trainer, toy_clips

from avfusion.data.batch import Clips
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.data.mixup import Mixup, mix_clips


def clips_of(**streams) -> Clips:
    """Two clips of which the first has two steps and the second three."""
    lengths = {name: torch.tensor([2, 3]) for name in streams if name.startswith("sequence")}
    two = torch.tensor([True, True])
    return Clips(
        {name: torch.tensor(values) for name, values in streams.items()},
        lengths,
        two,
        two,
        torch.tensor([4, 5]),
        torch.zeros(2, 4),
        torch.tensor([0, 1]),
    )


SWAP = torch.tensor([1, 0])


def test_face_and_voice_are_mixed_with_one_partner_in_one_share_over_true_steps():
    """By hand: three quarters of 4 and one of 8 is 5; the third step is the second clip's own."""
    clips = clips_of(
        face=[[4.0], [8.0]],
        sequence=[[4.0, 4.0, 0.0], [8.0, 8.0, 8.0]],
        sequence_of_features=[[[4.0], [4.0], [0.0]], [[8.0], [8.0], [8.0]]],
        sequence_of_layers=[[[[4.0], [4.0], [0.0]]], [[[8.0], [8.0], [8.0]]]],
    )
    mixed = mix_clips(clips, SWAP, 0.75)
    assert mixed.streams["face"].tolist() == [[5.0], [7.0]]
    for name in clips.lengths:
        assert mixed.streams[name].flatten(1).tolist() == [[5.0, 5.0, 8.0], [7.0, 7.0, 8.0]]
        assert mixed.lengths[name].tolist() == [3, 3]
    assert mixed.mixed.label.tolist() == [5, 4] and mixed.mixed.share == 0.75
    assert torch.equal(mixed.label, clips.label) and torch.equal(mixed.row, clips.row)


def test_clips_that_lack_different_modalities_stay_as_they_are():
    clips = clips_of(face=[[4.0], [8.0]], sequence=[[4.0, 4.0, 0.0], [8.0, 8.0, 8.0]])
    clips = clips._replace(has_face=torch.tensor([True, False]))
    mixed = mix_clips(clips, SWAP, 0.75)
    for name, values in clips.streams.items():
        torch.testing.assert_close(mixed.streams[name], values)
    assert torch.equal(mixed.mixed.label, clips.label)
    assert torch.equal(mixed.lengths["sequence"], clips.lengths["sequence"])


@pytest.mark.parametrize(
    ("labels", "loss"), [("single_label", "cross_entropy"), ("multi_label", "bce")]
)
def test_the_loss_of_both_labels_is_that_of_the_mixed_label(labels, loss):
    plain = ("model.single_glimpses=0", "model.glimpse_entropy=0")
    task, clips = build("lowrank", f"loss={loss}", *plain, labels=labels), toy_clips(4)
    label = encoded_labels(task.target, clips.label.tolist())
    partner = torch.tensor([3, 2, 0, 1])
    mixed = mix_clips(clips._replace(label=label), partner, 0.7)
    truth = task.target.indicators(label).float()
    soft = 0.7 * truth + 0.3 * truth[partner]
    minimized, scores = task.step(mixed, task.train_metrics)
    of_soft = {"bce": F.binary_cross_entropy_with_logits, "cross_entropy": F.cross_entropy}[loss]
    torch.testing.assert_close(minimized, of_soft(scores.logits, soft))


def test_auxiliary_losses_are_those_of_both_labels_too():
    task = build("lowrank", "remedy=auxiliary_heads", "model.glimpse_entropy=0")
    mixed = mix_clips(toy_clips(4), torch.tensor([1, 2, 3, 0]), 0.6)
    scores = task(mixed)
    found = task.minimized_loss(task.label_loss(scores.logits, mixed), scores, mixed)
    parts = []
    for label in (mixed.label, mixed.mixed.label):
        clips = mixed._replace(label=label, mixed=None)
        parts.append(task.minimized_loss(task.label_loss(scores.logits, clips), scores, clips))
    torch.testing.assert_close(found, 0.6 * parts[0] + 0.4 * parts[1])


def test_shares_are_drawn_for_a_batch_and_are_those_of_the_clip_itself():
    clips = toy_clips(6)
    shares = [Mixup(alpha=0.4)(clips).mixed.share for _ in range(400)]
    assert all(0.5 <= share <= 1 for share in shares)
    # A symmetric Beta distribution of 0.4 has the variance 1 / 4 / (2 * 0.4 + 1).
    variance = sum((share - 0.5) ** 2 for share in shares) / len(shares)
    assert variance == pytest.approx(0.25 / 1.8, rel=0.1)
    with pytest.raises(ValueError, match=r"mixup.alpha must be above 0, got 0"):
        Mixup(alpha=0.0)


def test_training_clips_are_mixed_and_others_are_not(party_store):
    """Also those of a store: bytes and true lengths, in half precision."""
    data = FaceAudioDataModule(str(party_store), batch_size=8, augmentation={"mixup": Mixup()})
    data.prepare_data()
    seen = {}

    class Watch(type(build("lowrank"))):
        def step(self, clips, metrics):
            seen.setdefault(self.training, clips)
            return super().step(clips, metrics)

    task = build_for(data, "lowrank")
    task.__class__ = Watch
    options = {
        "max_epochs": 1,
        "limit_train_batches": 1,
        "limit_val_batches": 1,
        "num_sanity_val_steps": 0,
    }
    quiet_trainer(precision="bf16-true", **options).fit(task, datamodule=data)
    assert seen[False].mixed is None
    trained = seen[True]
    assert trained.mixed is not None and trained.streams["frames"].dtype == torch.bfloat16
    assert trained.label.dtype == trained.mixed.label.dtype == torch.int64
    assert 0 <= trained.streams["frames"].min() <= trained.streams["frames"].max() <= 1
