"""Claims about a loader that knows how far it is."""

import pytest
import torch

from avfusion.data.datamodule import FaceAudioDataModule

pytestmark = pytest.mark.usefixtures("shared_by_files")


@pytest.fixture(params=[0, 2], ids=["no workers", "two workers"])
def data(party_store, request):
    return FaceAudioDataModule(str(party_store), batch_size=5, num_workers=request.param, seed=3)


def rows(loader, epoch):
    loader.sampler.set_epoch(epoch)
    return [clips.row.tolist() for clips in loader]


@pytest.mark.slow
@pytest.mark.parametrize("served", [1, 3, 4])
def test_goes_on_in_the_middle_of_an_epoch_and_serves_the_next_ones_whole(data, served):
    whole = [rows(data.train_dataloader(), epoch) for epoch in (2, 3)]
    assert len(whole[0]) == 5
    data.load_state_dict({"clips": 5 * served, "clips_per_step": 5})
    loader = data.train_dataloader()
    assert rows(loader, 2) == whole[0][served:]
    assert rows(loader, 3) == whole[1]


def test_knows_how_far_it_is(data):
    loader = data.train_dataloader()
    assert data.state_dict() == {"clips": 0, "clips_per_step": 5}
    for number, _ in enumerate(loader, 1):
        clips = 5 * number if number < 5 else 0  # the epoch is over
        assert data.state_dict() == {"clips": clips, "clips_per_step": 5}


def test_the_epoch_counts_that_is_set_before_the_first_batch_is_asked_for(data):
    loader = data.train_dataloader()
    batches = iter(loader)
    loader.sampler.set_epoch(7)
    assert [clips.row.tolist() for clips in batches] == rows(data.train_dataloader(), 7)


def test_reading_draws_no_random_numbers_of_training(data):

    before = torch.get_rng_state()
    rows(data.train_dataloader(), 0)
    assert torch.equal(torch.get_rng_state(), before)
