import sys

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from avfusion.models.face_encoders import TimmEncoder

timm = pytest.importorskip("timm", reason="timm comes with --group encoder-tests")
pytestmark = pytest.mark.encoders


def small(**options) -> TimmEncoder:
    return TimmEncoder("test_resnet", **options)


def pictures(batch: int = 2, count: int = 1, size: int = 64) -> torch.Tensor:
    return torch.rand(batch, count, 3, size, size)


def learns(encoder: TimmEncoder) -> set[str]:
    return {name for name, value in encoder.named_parameters() if value.requires_grad}


def test_conv5_of_vgg16_has_512_channels_and_14_by_14_cells_at_224_pixels():
    with torch.device("meta"):
        encoder = TimmEncoder("vgg16")
        face_map = encoder(pictures(1, 2, 224))
    assert encoder.channels == 512
    assert face_map.shape == (1, 512, 2, 14, 14)


@pytest.mark.parametrize(("name", "reduction"), [("resnet18", 16), ("resnet101", 32)])
def test_other_networks_give_a_cell_per_reduction(name, reduction):
    with torch.device("meta"):
        encoder = TimmEncoder(name, reduction=reduction)
        face_map = encoder(pictures(1, 1, 128))
    assert face_map.shape == (1, encoder.channels, 1, 128 // reduction, 128 // reduction)


@pytest.mark.parametrize("reduction", [8, 32])
def test_equals_the_layers_of_timms_whole_network_on_normalized_pictures(reduction):
    encoder, whole = small(reduction=reduction).eval(), timm.create_model("test_resnet").eval()
    fitting = {n: v for n, v in encoder.network.state_dict().items() if n in whole.state_dict()}
    whole.load_state_dict(whole.state_dict() | fitting)
    face = pictures(2, 3)
    standard = (face.flatten(0, 1) - 0.5) / 0.5
    hidden = whole.maxpool(whole.act1(whole.bn1(whole.conv1(standard))))
    for stage in ["layer1", "layer2", "layer3", "layer4"][: {8: 2, 32: 4}[reduction]]:
        hidden = whole.get_submodule(stage)(hidden)
    expected = hidden.unflatten(0, (2, 3)).movedim(1, 2)
    torch.testing.assert_close(encoder(face), expected)


@pytest.mark.parametrize(
    ("name", "size"), [("test_vit", 160), ("swin_tiny_patch4_window7_224", 224)]
)
def test_pictures_are_resized_for_networks_of_a_fixed_size(name, size):
    with torch.device("meta"):
        encoder = TimmEncoder(name)
        assert encoder(pictures(2, 1, 80)).shape == (2, encoder.channels, 1, size // 16, size // 16)
    assert small().size is None


def test_channels_last_maps_of_timm_are_put_channels_first():
    encoder = TimmEncoder("swin_tiny_patch4_window7_224", reduction=4).eval()
    face = pictures(1, 1, 224)
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[:, :, None, None]
    (turned,) = encoder.network((face[0] - mean) / std)
    torch.testing.assert_close(encoder(face)[0, :, 0], turned[0].permute(2, 0, 1))


@pytest.mark.parametrize("name", ["test_resnet", "efficientnet_b0", "test_vit"])
def test_every_parameter_that_learns_receives_a_gradient(name):
    encoder = TimmEncoder(name)
    encoder(pictures()).square().sum().backward()
    assert all((part.grad is not None) == part.requires_grad for part in encoder.parameters())


def test_a_number_of_stages_is_frozen_and_stays_in_eval_mode():
    encoder = small(freeze=3, reduction=32)
    free = {name.split(".")[1] for name in learns(encoder)}
    assert free == {"layer3", "layer4"}
    for turn in (lambda: None, encoder.eval, encoder.train):
        turn()
    modes = {
        name.split(".")[1]: part.training for name, part in encoder.named_modules() if "." in name
    }
    assert modes == {name: name in free for name in modes}
    assert {"conv1", "bn1", "layer2", "layer4"} <= set(modes)


def test_the_first_blocks_of_a_vision_transformer_are_frozen_with_what_comes_before_them():
    encoder = TimmEncoder("test_vit", freeze=2)
    frozen = {name for name, _ in encoder.named_parameters()} - learns(encoder)
    starts = ("patch_embed", "cls_token", "pos_embed", "reg_token", "blocks.0.", "blocks.1.")
    assert frozen and all(name.removeprefix("network.model.").startswith(starts) for name in frozen)
    assert any("blocks.2." in name for name in learns(encoder))


def test_frozen_statistics_never_change():
    encoder = small(freeze="all").train()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    encoder(pictures())
    assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())
    moving = small().train()
    before = {name: value.clone() for name, value in moving.state_dict().items()}
    moving(pictures())
    assert any(not torch.equal(value, before[name]) for name, value in moving.state_dict().items())


def test_frozen_layers_keep_no_activations_for_gradients():
    def held(freeze: str | int) -> int:
        sizes = []
        encoder = small(freeze=freeze)
        with saved_tensors_hooks(lambda part: sizes.append(part.numel()), lambda part: part):
            encoder(pictures())
        return sum(sizes)

    assert held("all") == 0
    assert 0 < held(2) < held("none") / 2


def save(path, network) -> str:
    if path.suffix == ".safetensors":
        from safetensors.torch import save_file

        save_file(network.state_dict(), path)
    else:
        torch.save({"state_dict": network.state_dict()}, path)
    return str(path)


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pth"])
def test_weights_come_from_a_file(name, tmp_path):
    whole = timm.create_model("test_resnet")
    encoder = small(pretrained=save(tmp_path / name, whole))
    for key, value in encoder.network.state_dict().items():
        assert torch.equal(value, whole.state_dict()[key])
    assert "state_dict" not in encoder.network.pretrained_cfg


def test_a_file_that_lacks_weights_or_holds_others_is_refused(tmp_path):
    whole = timm.create_model("test_resnet")
    del whole.layer2
    with pytest.raises(ValueError, match=r"does not fit test_resnet: it lacks layer2\.0\.conv1"):
        small(pretrained=save(tmp_path / "part.pth", whole))
    with pytest.raises(ValueError, match="does not fit test_resnet"):
        small(pretrained=save(tmp_path / "other.pth", timm.create_model("resnet18")))


def test_weights_that_cannot_be_fetched_are_an_error_that_says_what_to_do(monkeypatch):
    def no_route(*args, **options):
        raise OSError("no route to host")

    for place in ("load_state_dict_from_hf", "load_state_dict_from_url"):
        monkeypatch.setattr(f"timm.models._builder.{place}", no_route)
    cure = r"test_resnet cannot be fetched \(no route to host\): set pretrained to a .safetensors"
    with pytest.raises(ValueError, match=cure):
        small(pretrained="hub")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"name": "no_such_net"}, "timm has no network 'no_such_net'"),
        ({"name": "hf-hub:timm/resnet18"}, "timm has no network"),
        ({"reduction": 7}, r"reduction must be one of \[2, 4, 8, 16, 32\] for test_resnet, got 7"),
        ({"freeze": 9}, r"freeze must be all, none or a number of stages up to 4 \(act1, .*got 9"),
        ({"freeze": "some"}, "freeze must be all, none or a number .*got 'some'"),
    ],
)
def test_what_timm_does_not_have_is_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        TimmEncoder(**{"name": "test_resnet"} | options)


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(FileNotFoundError, match=r"No weights at nowhere\.pth"):
        small(pretrained="nowhere.pth")


def test_without_timm_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(
        ValueError, match=r"test_resnet needs timm: pip install -e '\.\[encoders\]'"
    ):
        TimmEncoder("test_resnet")
