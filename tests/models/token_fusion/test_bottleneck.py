import pytest
import torch

from avfusion.models.token_fusion.bottleneck import BottleneckFusion


def test_equals_its_blocks_applied_to_one_clip_without_padding():
    fuse = BottleneckFusion(8, num_layers=2, num_heads=2, bottlenecks=3).double()
    face, audio = torch.randn(2, 6, 8).double(), torch.randn(2, 7, 8).double()
    fused, weights = fuse(face, audio, torch.tensor([7, 3]))
    seen = torch.cat([fuse.face_class, face[1]])
    heard = torch.cat([fuse.audio_class, audio[1, :3]])
    shared = fuse.bottlenecks
    for look, listen in zip(fuse.looking, fuse.listening, strict=True):
        of_face, of_audio = torch.cat([seen, shared])[None], torch.cat([heard, shared])[None]
        looks = look.weights(of_face, of_face)[0, 0, 1:7]
        (seen, ours), (heard, theirs) = (
            block(part, part)[0].split([part.shape[1] - 3, 3])
            for block, part in ((look, of_face), (listen, of_audio))
        )
        shared = (ours + theirs) / 2
    expected = (fuse.face_norm(seen[0]) + fuse.audio_norm(heard[0])) / 2
    torch.testing.assert_close(fused[1], expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(weights[1, 0], looks / looks.sum(), rtol=0, atol=1e-12)


def test_the_modalities_meet_nowhere_but_in_the_bottleneck_tokens():
    fuse = BottleneckFusion(8, num_layers=3, bottlenecks=4).double()
    face, audio = torch.randn(1, 6, 8).double(), torch.randn(1, 7, 8).double().requires_grad_()
    seen = []
    fuse.face_norm.register_forward_hook(lambda module, given, result: seen.append(result))
    fuse(face, audio, torch.tensor([7]))
    assert torch.autograd.grad(seen[0].pow(3).sum(), audio)[0].any()
    for block in fuse.listening:  # what is read is then the same whatever was said
        block.register_forward_hook(
            lambda module, given, result: torch.cat([0 * result[:, :4].detach(), result[:, 4:]], 1)
        )
    fuse(face, audio, torch.tensor([7]))
    assert not torch.autograd.grad(seen[1].pow(3).sum(), audio)[0].any()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"num_layers": 1}, "num_layers must be at least 2, got 1"),
        ({"bottlenecks": 0}, "bottlenecks .*at least 1, got 0"),
    ],
)
def test_modalities_that_could_never_meet_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        BottleneckFusion(8, **options)
