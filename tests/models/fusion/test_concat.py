import torch

from avfusion.models.fusion.concat import ConcatFusion


def test_equals_the_sum_of_one_linear_map_of_each_rectified():
    fuse = ConcatFusion(6, 4, dim=5).double()
    torch.nn.init.normal_(fuse.project.bias)
    face, audio = torch.randn(3, 6, dtype=torch.double), torch.randn(3, 4, dtype=torch.double)
    weight, bias = (part.detach().numpy() for part in fuse.project.parameters())
    expected = face.numpy() @ weight[:, :6].T + audio.numpy() @ weight[:, 6:].T + bias
    torch.testing.assert_close(
        fuse(face, audio), torch.from_numpy(expected.clip(min=0)), rtol=0, atol=1e-12
    )
