"""Streams of networks of timm."""

import pytest
import torch
import torch.nn.functional as F

from avfusion.features.encoders import Pictures
from avfusion.features.streams import StreamEncoder, digest_weights

pytestmark = pytest.mark.encoders
timm = pytest.importorskip("timm")
FRAMES = torch.rand(2, 3, 3, 48, 40)


def save(folder, name, **options):
    network = timm.create_model(name, **options).eval()
    for parameter in network.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape)
    torch.save(network.state_dict(), folder / "weights.pth")
    return network, str(folder / "weights.pth")


def prepare(network, size):
    cfg = network.pretrained_cfg
    pictures = F.interpolate(FRAMES.flatten(0, 1), (size, size), mode="bilinear", antialias=True)
    mean, std = (torch.tensor(cfg[name])[:, None, None] for name in ("mean", "std"))
    return (pictures - mean) / std


def test_a_vector_is_what_the_library_makes_of_the_picture(tmp_path):
    for name, size, options in (
        ("test_vit", 160, {}),
        ("test_vit2", 64, {"img_size": 64}),
        ("test_resnet", 96, {}),
    ):
        network, file = save(tmp_path, name, **options)
        vectors = Pictures("p", name, file, size=size).build()
        network.reset_classifier(0)
        with torch.no_grad():
            expected = network(prepare(network, size)).unflatten(0, (2, 3))
        given = vectors(FRAMES, None)
        assert vectors.kind == "sequence" and given.lengths is None
        torch.testing.assert_close(given.values, expected, rtol=0, atol=1e-5)


def test_poolings_are_the_class_token_and_the_mean_of_the_patches(tmp_path):
    network, file = save(tmp_path, "test_vit")
    with torch.no_grad():
        tokens = network.forward_features(prepare(network, 160)).unflatten(0, (2, 3))
    given = Pictures("p", "test_vit", file, pooling="class").build()(FRAMES, None).values
    torch.testing.assert_close(given, tokens[:, :, 0], rtol=0, atol=1e-5)
    given = Pictures("p", "test_vit", file, pooling="mean").build()(FRAMES, None).values
    torch.testing.assert_close(given, tokens[:, :, 1:].mean(2), rtol=0, atol=1e-5)

    network, file = save(tmp_path, "test_resnet")
    with torch.no_grad():
        map_ = network.forward_features(prepare(network, 160)).unflatten(0, (2, 3))
    given = Pictures("p", "test_resnet", file, pooling="mean", size=160).build()(FRAMES, None)
    torch.testing.assert_close(given.values, map_.mean((3, 4)), rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match=r"test_resnet has no class token: set pooling to model"):
        Pictures("p", "test_resnet", file, pooling="class").build()


def test_a_map_is_that_of_the_face_encoder(tmp_path):
    from avfusion.models.face_encoders import TimmEncoder

    _, file = save(tmp_path, "test_resnet")
    encoder = Pictures("p", "test_resnet", file, "map", reduction=16, size=64).build()
    expected = TimmEncoder("test_resnet", file, 16, size=64).eval()(FRAMES).transpose(1, 2)
    assert encoder.kind == "maps"
    assert torch.equal(encoder(FRAMES, None).values, expected)


@pytest.mark.parametrize("output", ["map", "vector"])
def test_a_recipe_and_weights_make_the_same_encoder_without_a_file(tmp_path, output):
    _, file = save(tmp_path, "test_vit")
    recipe = Pictures("p", "test_vit", file, output)
    assert isinstance(recipe, StreamEncoder)
    assert recipe.source() == {"pretrained": file}
    encoder, plain = recipe.build(), recipe.recipe()
    (tmp_path / "weights.pth").unlink()
    assert plain.pop("_target_") == "avfusion.features.encoders.pictures.Pictures"
    again = Pictures(**plain).build(encoder.state_dict())
    assert torch.equal(again(FRAMES, None).values, encoder(FRAMES, None).values)
    assert digest_weights(again.state_dict()) == digest_weights(encoder.state_dict())


def test_what_is_no_network_or_no_output_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"timm has no network 'none': timm\.list_models"):
        Pictures("p", "none", "none").build()
    with pytest.raises(ValueError, match=r"output must be one of .*, got 'text'"):
        Pictures("p", "test_vit", output="text")
    with pytest.raises(ValueError, match=r"pooling of test_vit must be one of .*, got 'max'"):
        Pictures("p", "test_vit", "none", pooling="max").build()
