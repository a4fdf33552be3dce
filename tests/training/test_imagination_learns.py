"""Claims about what generators learn: a toy corpus whose modalities tell each other, or do not."""

import pytest
import torch
from conftest import build, quiet_trainer, toy_clips
from torch.utils.data import DataLoader

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:You defined a `validation_step`"),
]
SMALL = ("model.network.audio_encoder.hidden_dim=16", "model.network.attention.hidden_dim=32")
STEPS, BATCH, SEEDS = 150, 32, range(3)
DIFFERENCE = 0.1  # in brightness, which the network need not look at, as the voice is clear


def draw_batches(count, tied, seed):
    """Batches of clips whose face is red or blue, light or dark, and whose voice says yes or no.

    The label is color and word. Where they are ``tied``, a light face says yes.
    """
    generator = torch.Generator().manual_seed(seed)
    batches = []
    for _ in range(count):
        color, shade, word = torch.randint(2, (3, BATCH), generator=generator)
        word = shade if tied else word
        clips = toy_clips(BATCH, frames=6, size=16)
        tint = torch.stack([0.8 * color, torch.full((BATCH,), 0.3), 0.8 * (1 - color)], dim=1)
        tint = tint + DIFFERENCE * shade[:, None]
        face = 0.1 * torch.rand(clips.streams["frames"].shape, generator=generator)
        face = face + tint[:, None, :, None, None]
        sound = 0.3 * torch.randn(clips.streams["mfcc"].shape, generator=generator)
        sound[:, :, :10] += (2.0 * word - 1)[:, None, None]
        streams = clips.streams | {"frames": face, "mfcc": sound}
        lengths = {"mfcc": torch.full((BATCH,), 6)}
        batches.append(clips._replace(streams=streams, lengths=lengths, label=2 * color + word))
    return batches


def train(missing, tied, seed):
    """Train on clips with both modalities; return the accuracy with both, and without sound."""
    torch.manual_seed(seed)
    network = ("model.network.modality_dropout=0", *SMALL, "optimizer.lr=0.003")
    task = build("concat", f"model/missing={missing}", *network, classes=4)
    trainer = quiet_trainer(max_epochs=1, num_sanity_val_steps=0)
    trainer.fit(task, loader(draw_batches(STEPS, tied, seed)))

    tested = draw_batches(16, tied, 100 + seed)
    silent = [clips._replace(has_audio=torch.zeros_like(clips.has_audio)) for clips in tested]
    return accuracy(task, tested), accuracy(task, silent)


def loader(batches):
    return DataLoader(batches, batch_size=None, collate_fn=lambda clips: clips)


@torch.no_grad()
def accuracy(task, batches):
    task.eval()
    right = [task(clips).logits.argmax(dim=1) == clips.label for clips in batches]
    return torch.cat(right).float().mean().item()


def test_imagining_the_voice_helps_where_the_face_tells_what_it_says():
    """Six seeds: zeros 0.49 to 0.83, imagined 0.83 to 1.00, in 250 steps."""
    zeros, imagined = (
        [train(missing, True, seed) for seed in SEEDS] for missing in ("zeros", "imagined")
    )
    assert all(both > 0.95 for both, _ in zeros + imagined)
    gain = [ours - theirs for (_, ours), (_, theirs) in zip(imagined, zeros, strict=True)]
    assert sum(gain) / len(gain) > 0.15


def test_imagining_the_voice_does_not_help_where_the_face_tells_nothing_of_it():
    """Half of the words are guessed right, whatever stands in for the voice."""
    zeros, imagined = (
        [train(missing, False, seed) for seed in SEEDS] for missing in ("zeros", "imagined")
    )
    assert all(both > 0.95 for both, _ in zeros + imagined)
    gain = [ours - theirs for (_, ours), (_, theirs) in zip(imagined, zeros, strict=True)]
    assert abs(sum(gain) / len(gain)) < 0.1
    assert sum(silent for _, silent in imagined) / len(imagined) < 0.6
