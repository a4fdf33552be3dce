import sys

import pytest
import torch

from avfusion.models.face_encoders import TorchvisionEncoder

torchvision = pytest.importorskip("torchvision", reason="torchvision: --group encoder-tests")
pytestmark = pytest.mark.encoders

MEAN, STD = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[:, :, None, None]


def test_conv5_of_alexnet_has_256_channels_and_13_by_13_cells_at_224_pixels():
    encoder = TorchvisionEncoder("alexnet")
    assert encoder.channels == 256
    assert encoder(torch.rand(1, 2, 3, 224, 224)).shape == (1, 256, 2, 13, 13)


def test_equals_alexnets_features_before_the_last_pooling_from_a_file(tmp_path):
    whole = torchvision.models.alexnet()
    torch.save(whole.state_dict(), tmp_path / "alexnet.pth")
    encoder = TorchvisionEncoder("alexnet", pretrained=str(tmp_path / "alexnet.pth"))
    face = torch.rand(2, 3, 3, 64, 64)
    hidden = (face.flatten(0, 1) - MEAN) / STD
    for layer in range(12):
        hidden = whole.features[layer](hidden)
    expected = hidden.unflatten(0, (2, 3)).movedim(1, 2)
    torch.testing.assert_close(encoder(face), expected)


def test_layers_are_frozen_and_stay_in_eval_mode():
    encoder = TorchvisionEncoder("densenet121", freeze=2).train()
    free = {name.split(".")[1] for name, part in encoder.named_parameters() if part.requires_grad}
    assert free and not free & {"0", "1"}
    assert not encoder.network[1].training and encoder.network[4].training


def test_a_frozen_network_makes_no_graph():
    encoder = TorchvisionEncoder("alexnet", freeze="all").train()
    assert not encoder(torch.rand(1, 1, 3, 64, 64)).requires_grad
    assert TorchvisionEncoder("alexnet", freeze=10)(torch.rand(1, 1, 3, 64, 64)).grad_fn is not None


def test_a_file_that_does_not_fit_is_refused(tmp_path):
    torch.save(torchvision.models.squeezenet1_1().state_dict(), tmp_path / "other.pth")
    with pytest.raises(ValueError, match=r"other\.pth does not fit alexnet"):
        TorchvisionEncoder("alexnet", pretrained=str(tmp_path / "other.pth"))


def test_weights_that_cannot_be_fetched_are_an_error_that_says_what_to_do(monkeypatch):
    def no_route(*args, **options):
        raise OSError("no route to host")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", no_route)
    with pytest.raises(ValueError, match=r"alexnet cannot be fetched \(no route to host\): set"):
        TorchvisionEncoder("alexnet", pretrained="hub")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"name": "no_such_net"}, "torchvision has no network 'no_such_net'"),
        ({"name": "resnet18"}, "resnet18 has no row of features"),
        ({"name": "alexnet", "freeze": 13}, "a number of stages up to 12 .*got 13"),
    ],
)
def test_what_torchvision_does_not_have_is_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        TorchvisionEncoder(**options)


def test_without_torchvision_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(
        ValueError, match=r"alexnet needs torchvision: pip install -e '\.\[encoders\]'"
    ):
        TorchvisionEncoder("alexnet")
