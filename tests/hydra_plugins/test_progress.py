"""Claims about the progress of a sweep."""

import logging

from hydra_plugins.avfusion_launcher.progress import SweepProgress


def test_the_remaining_time_is_estimated_by_the_mean_of_the_finished_jobs(caplog):
    caplog.set_level(logging.INFO)
    progress = SweepProgress(total=6, slots=2)
    progress.count_job(0)  # finished before: its time says nothing about the others
    progress.count_job(1, 50.0)
    progress.count_job(2, 70.0)
    assert caplog.messages == [
        "#1 took 50 s; 2 of 6 jobs done, about 2 min left",  # four of 50 s on two slots: 100 s
        "#2 took 70 s; 3 of 6 jobs done, about 90 s left",
    ]


def test_no_remaining_time_is_logged_after_the_last_job(caplog):
    caplog.set_level(logging.INFO)
    SweepProgress(total=1, slots=1).count_job(0, 5.0)
    assert caplog.messages == ["#0 took 5 s; 1 of 1 jobs done"]
