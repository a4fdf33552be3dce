"""The way of a stream, as people type it: prepare, train, test, predict, report."""

import csv
import shutil
from functools import partial

import numpy as np
import pytest
import torch
from conftest import results, tone, write_recordings, write_sound, write_video
from speech_checkpoints import write_checkpoint

from avfusion.evaluation.predictions import load_predictions

pytestmark = [pytest.mark.slow, pytest.mark.encoders]


def read_rows(folder):
    with (folder / "predictions.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_speech_network_goes_all_the_way(run, tmp_path):
    """All layers of a WavLM, and a network that learns how much each of them counts."""
    run = partial(run, shell='exec "$0" "$@"')  # torchvision starts threads, which forks would lack
    corpus = write_recordings(tmp_path / "corpus")
    wavlm = write_checkpoint(tmp_path / "wavlm", "wavlm")
    prepare = ("corpus=manifest", f"corpus.root={corpus}", "features.face.size=48")
    stream = (
        "features/audio_stream=wavlm",
        f"features.audio_stream.name={wavlm}",
        "features.audio_stream.layers=all",
    )
    run("prepare", *prepare)
    added = run("prepare", *prepare, *stream).stdout.strip().splitlines()[-1].split()
    (store,) = (word for word in added if word.startswith("data.store="))
    assert "audio=wavlm" in added
    listed = run("prepare", *prepare, "prepare.streams=false").stdout
    (line,) = (line for line in listed.splitlines() if line.startswith("wavlm"))
    assert "Speech on waveform, weights: " in line and "sha256" in line

    folder = tmp_path / "run"
    command = ("data=store", store, "audio=wavlm", "model=concat")
    small = ("trainer=cpu", "trainer.max_epochs=2", "data.batch_size=8")
    run("train", *command, *small, f"hydra.run.dir={folder}")
    run("eval", f"ckpt_path={folder}", f"hydra.run.dir={tmp_path}/eval")
    for name, value in results(folder).items():
        if name.startswith("test/"):
            assert results(tmp_path / "eval")[name] == value

    checkpoint = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)
    logits = checkpoint["state_dict"]["network.audio_encoder.layer_weights.logits"]
    assert logits.numel() == 4 and logits.abs().max() > 0  # they have learned

    shutil.rmtree(wavlm)  # 100 kB, which travel in the checkpoint
    sound = write_sound(tmp_path / "voice.mp3", tone(1.3, 44_100), 44_100)
    pictures, times = [np.full((48, 48, 3), 99, np.uint8)] * 13, np.arange(13) / 10
    video = write_video(tmp_path / "both.mp4", pictures, times.tolist(), tone(1.3))
    for name, recording in (("both", video), ("voice", sound)):
        run(
            "predict",
            f"ckpt_path={folder}",
            f"input='{recording}'",
            f"hydra.run.dir={tmp_path}/{name}",
        )
        (row,) = read_rows(tmp_path / name)
        assert sum(
            float(row[one]) for one in load_predictions(folder).output_names
        ) == pytest.approx(1, abs=1e-3)
    assert "sound only" in read_rows(tmp_path / "voice")[0]["note"]

    page = run("report", str(folder)).stdout.split()[-1]
    text = (folder / "report.html").read_text()
    assert page.endswith("report.html") and "Weights of the layers that audio_encoder reads" in text
