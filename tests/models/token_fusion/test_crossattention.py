import torch

from avfusion.models.token_fusion.crossattention import CrossAttentionFusion


def test_equals_its_blocks_applied_to_one_clip_without_padding():
    fuse = CrossAttentionFusion(8, num_layers=2, num_heads=2).double()
    face, audio = torch.randn(2, 6, 8).double(), torch.randn(2, 7, 8).double()
    fused, weights = fuse(face, audio, torch.tensor([7, 3]))
    seen, heard = face[1:], audio[1:, :3]
    (first_look, look), (first_listen, listen) = fuse.looking, fuse.listening
    heard, seen = first_look(heard, seen), first_listen(seen, heard)
    looks = look.weights(heard, seen)[0].mean(dim=0)
    heard, seen = look(heard, seen), listen(seen, heard)
    expected = (fuse.audio_norm(heard).mean(dim=1) + fuse.face_norm(seen).mean(dim=1))[0] / 2
    torch.testing.assert_close(fused[1], expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(weights[1, 0], looks, rtol=0, atol=1e-12)


def test_a_layer_has_the_parameters_of_two_blocks():
    def count(num_layers: int) -> int:
        return sum(part.numel() for part in CrossAttentionFusion(8, num_layers).parameters())

    attention = 4 * 8 * 8 + 3 * 8  # keys have no bias
    thinking = 8 * 16 + 16 + 16 * 8 + 8
    norms = 2 * 2 * 8
    assert count(3) - count(2) == 2 * (attention + thinking + norms)
    assert count(1) == 2 * (attention + thinking + norms) + 2 * 2 * 8
