"""Claims about what predictions say of modalities that clips lack."""

import pytest
from conftest import build_for, quiet_trainer, tone, write_picture, write_sound

from avfusion.corpora.unlabeled import UnlabeledRecordings, find_recordings
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.evaluation.inference import collect_predictions, predict_recordings
from avfusion.features import build_prediction_features
from avfusion.models.networks.missing_modality import find_stand_in
from avfusion.preparation.prepare import prepare

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers")
LEARNED = "model.network.modality_dropout=0.2"


@pytest.fixture
def data(party_store):
    return FaceAudioDataModule(str(party_store), batch_size=5)


def predict(task, data):
    batches = quiet_trainer().predict(task, datamodule=data)
    return collect_predictions(data, batches, task.network)


@pytest.mark.parametrize("model", ["lowrank", "bottleneck", "face_only", "audio_only", "lenet"])
def test_zeros_stand_in_unless_modality_dropout_learns_a_vector_or_a_network_says_otherwise(
    data, model
):
    assert find_stand_in(build_for(data, model).network) == "zeros"
    network = build_for(data, model, LEARNED).network
    assert find_stand_in(network) == "learned"
    network.missing = "imagined"
    assert find_stand_in(network) == "imagined"


@pytest.mark.parametrize(
    ("overrides", "missing", "sentence"),
    [
        ((), None, "zeros stand in for the {}"),
        ((LEARNED,), None, "a learned vector stands in for the {}"),
        ((LEARNED,), "imagined", "the {} is imagined"),
    ],
)
def test_notes_name_what_stands_in_for_a_modality_taken_away(data, overrides, missing, sentence):
    task = build_for(data, "lowrank", *overrides)
    if missing is not None:
        task.network.missing = missing
    assert {prediction.note for prediction in predict(task, data)} == {""}
    for removed, noun in (("audio", "voice"), ("face", "face")):
        notes = {prediction.note for prediction in predict(task, data.without(removed))}
        assert notes == {f"{noun} taken away; {sentence.format(noun)}"}


@pytest.fixture
def lacking(tmp_path):
    """A clip of both, one of a picture alone and one of a sound alone."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    write_picture(folder / "both.png", (200, 60, 60))
    write_sound(folder / "both.wav", tone(0.6))
    write_picture(folder / "seen.png", (60, 200, 60))
    write_sound(folder / "heard.wav", tone(0.6, pitch=300))
    return folder


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [((), "zeros stand in for the {}"), ((LEARNED,), "a learned vector stands in for the {}")],
)
def test_recordings_without_sound_or_face_note_what_stands_in(
    data, lacking, overrides, sentence, tmp_path, in_process
):
    task = build_for(data, "lowrank", *overrides)
    features = build_prediction_features(data.description["features"])
    recordings = find_recordings(str(lacking))
    direct = predict_recordings(recordings, features, task)
    assert [prediction.note for prediction in direct] == [
        "",
        f"no picture; sound only; {sentence.format('face')}",
        f"no sound; picture only; {sentence.format('voice')}",
    ]

    corpus = UnlabeledRecordings(recordings, data.target.output_names)
    store = prepare(corpus, features, tmp_path / "stores")
    options = {"target": lambda description: task.target}
    prepared = predict(task, FaceAudioDataModule(str(store), **options))
    assert [prediction.note for prediction in prepared] == [p.note for p in direct]


def test_nothing_is_predicted_from_a_modality_that_the_network_does_not_read(data, lacking):
    task = build_for(data, "face_only")
    features = build_prediction_features(data.description["features"])
    recordings = find_recordings(str(lacking))
    both, heard, seen = predict_recordings(recordings, features, task, modalities=("face",))
    assert both.note == "" and seen.note == "no sound; picture only"
    assert heard.values is None and both.values is not None and seen.values is not None
    reason = "no prediction, the network takes only the face: no picture; sound only"
    assert heard.note == reason
