"""Pictures in containers: tiles, animations, pages and what is wrongly named."""

from importlib.util import find_spec

import numpy as np
import pytest
from conftest import SHARED
from corrupt_files import gray, levels, steps
from heif import write_grid
from PIL import Image

from avfusion.corpora import Recording
from avfusion.corpora.unlabeled import find_recordings
from avfusion.features import AudioFeatures, FaceFeatures, Features, Policies
from avfusion.features import picture as pictures
from avfusion.features.clip import decode_frames
from avfusion.features.picture import read_frame_folder, read_picture
from avfusion.features.policies import Unreadable

if find_spec("pillow_heif") is not None:
    from pillow_heif import register_heif_opener

    register_heif_opener()

HEIF = pytest.param(
    "HEIF", marks=pytest.mark.skipif(not find_spec("pillow_heif"), reason="no HEIF")
)
EXIF_ORIENTATION = 0x0112


def quarters(height=128, width=192):
    """Four colours, none of them in one tile only."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 2, : width // 2] = (200, 40, 40)
    picture[: height // 2, width // 2 :] = (40, 200, 40)
    picture[height // 2 :, : width // 2] = (40, 40, 200)
    picture[height // 2 :, width // 2 :] = (210, 210, 60)
    return picture


def check_like(seen, meant):
    """Compare pictures in the middles of their quarters."""
    assert seen.shape == meant.shape
    height, width, _ = meant.shape
    rows, columns = (height // 4, 3 * height // 4), (width // 4, 3 * width // 4)
    middles = np.ix_(rows, columns)
    np.testing.assert_allclose(seen[middles], meant[middles].astype(float), atol=12)


@pytest.mark.parametrize("form", ["AVIF", HEIF])
@pytest.mark.parametrize("name", ["photo.{}", "photo.jpg", "photo"])
def test_a_grid_of_tiles_is_one_picture_whatever_its_name(tmp_path, form, name):
    path = write_grid(tmp_path / name.format(form.lower()), quarters(), form)
    check_like(read_picture(path).picture, quarters())


@pytest.mark.parametrize("form", ["AVIF", HEIF])
def test_the_edge_of_a_grid_that_is_not_whole_is_cut_off(tmp_path, form):
    path = write_grid(tmp_path / "a", quarters(), form, size=(180, 120))
    assert read_picture(path).picture.shape == (120, 180, 3)


@pytest.mark.parametrize("form", ["AVIF", HEIF])
@pytest.mark.parametrize(
    ("turn", "mirror"), [(1, None), (2, None), (3, None), (None, 0), (None, 1), (1, 1), (3, 0)]
)
def test_a_grid_is_turned_and_mirrored_as_its_container_says(tmp_path, form, turn, mirror):
    path = write_grid(tmp_path / "a", quarters(), form, turn=turn, mirror=mirror)
    meant = np.rot90(quarters(), turn or 0)
    if mirror is not None:  # 0: top and bottom change places; 1: left and right
        meant = meant[::-1] if mirror == 0 else meant[:, ::-1]
    check_like(read_picture(path).picture, meant)


@pytest.mark.parametrize("given", ["image", "video"])
@pytest.mark.parametrize("name", ["photo.heic", "photo.jpg", "photo.mp4"])
def test_heif_without_its_package_is_refused_by_name(tmp_path, monkeypatch, given, name):
    path = tmp_path / name
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99))
    monkeypatch.setattr(pictures, "find_spec", lambda name: None)
    recording = Recording("a", "", "", "test", **{given: path})
    with pytest.raises(Unreadable, match=rf"{name}: a HEIF picture .*pillow-heif.* to JPEG"):
        decode_frames(recording, None, 1)


@pytest.mark.parametrize("kind", ["avif", "gif", "png", "webp", "tif"])
def test_of_several_pictures_the_first_one_is_seen(tmp_path, kind):
    first, *others = map(Image.fromarray, steps(4))
    first.save(tmp_path / f"a.{kind}", save_all=True, append_images=others, duration=100)
    picture = read_picture(tmp_path / f"a.{kind}").picture
    assert picture.shape == gray(0).shape
    assert levels([picture]) == [0]


def test_of_the_views_of_a_stereo_camera_the_first_one_is_seen(tmp_path):
    first, second = map(Image.fromarray, steps(2))
    first.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=[second])
    assert levels([read_picture(tmp_path / "a.jpg").picture]) == [0]


def test_the_still_for_those_who_cannot_show_an_animation_is_not_its_first_picture(tmp_path):
    still, *animation = map(Image.fromarray, steps(3))
    still.save(tmp_path / "a.png", save_all=True, append_images=animation, default_image=True)
    assert levels([read_picture(tmp_path / "a.png").picture]) == [1]


def test_the_small_copy_on_the_first_page_of_a_tiff_is_not_the_picture(tmp_path):
    small, large = Image.fromarray(gray(200, 16, 12)), Image.fromarray(gray(40))
    large.encoderinfo = {"tiffinfo": {}}
    copy = {pictures.SUBFILE_TAG: pictures.REDUCED_COPY}
    small.save(tmp_path / "a.tif", save_all=True, append_images=[large], tiffinfo=copy)
    assert levels([read_picture(tmp_path / "a.tif").picture]) == [1]
    small.save(tmp_path / "b.tif", tiffinfo=copy)
    assert read_picture(tmp_path / "b.tif").picture.shape == (12, 16, 3)


@pytest.mark.parametrize(
    ("name", "form"), [("a.webp", "WEBP"), ("a.mp4", "PNG"), ("a.mov", "JPEG")]
)
def test_a_picture_given_as_a_video_is_shown_all_the_time(tmp_path, name, form):
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6
    Image.fromarray(quarters()).save(tmp_path / name, form, exif=exif)
    recording = Recording("a", "", "", "test", video=tmp_path / name)
    shown = decode_frames(recording, None, 3).pictures
    assert len(shown) == 3
    for picture in shown:
        check_like(picture, np.rot90(quarters(), -1))


def write_gif(path):
    first, *others = map(Image.fromarray, steps(8))
    first.save(path, save_all=True, append_images=others, duration=200, loop=0)
    return path


def test_an_animated_gif_that_is_given_as_a_video_is_shown_at_its_times(tmp_path):
    recording = Recording("a", "", "", "test", video=write_gif(tmp_path / "a.gif"))
    shown = decode_frames(recording, None, 7).pictures
    assert levels(shown) == list(range(7))


def test_an_animated_gif_is_answered_for_as_a_picture(tmp_path):
    (recording,) = find_recordings(str(write_gif(tmp_path / "a.gif")))
    features = Features(
        FaceFeatures(size=32, num_frames=4), AudioFeatures(), Policies.for_prediction()
    )
    assert np.all(features(recording).face[:, 16, 16] == gray(20)[0, 0])


def test_systems_leave_files_beside_frames_that_are_none(tmp_path):
    for number, picture in enumerate(steps(4)):
        Image.fromarray(picture).save(tmp_path / f"frame_{number}.png")
        (tmp_path / f"._frame_{number}.png").write_bytes(b"\0\x05\x16\x07" + bytes(99))
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", ".hidden.png", "ehthumbs_vista.db"):
        (tmp_path / name).write_bytes(b"\0\x05\x16\x07")
    for name in ("@eaDir", "#recycle", "__MACOSX", "sub.png"):
        (tmp_path / name).mkdir()
        Image.fromarray(gray(200)).save(tmp_path / name / "frame_0.png")
    assert levels(read_frame_folder(tmp_path, [0.1, 0.3, 0.6, 0.9]).pictures) == [0, 1, 2, 3]


@pytest.mark.skipif(not (SHARED / "bad" / "reported").is_dir(), reason=f"nothing in {SHARED}")
class TestReported:
    """Small inputs behind public reports."""

    reported = SHARED / "bad" / "reported"

    def test_tiles(self):
        assert read_picture(self.reported / "tiled_picture" / "photo.avif").picture.shape[:2] == (
            (1024, 1024)
        )

    def test_formats(self):
        assert read_picture(self.reported / "formats" / "photo.avif").picture.shape == (64, 96, 3)
        gif = Recording("a", "", "", "test", video=self.reported / "formats" / "anim.gif")
        shown = decode_frames(gif, None, 4).pictures
        assert len({picture.tobytes() for picture in shown}) == 4

    def test_orientation_of_16_bits(self):
        picture = read_picture(self.reported / "tiff16" / "gray16.tif").picture
        assert picture.shape == (64, 96, 3)

    def test_companions(self):
        folder = self.reported / "companion_files" / "frames"
        assert len(read_frame_folder(folder, [0.1, 0.3, 0.6, 0.9]).pictures) == 4
