import logging

from hydra_plugins.avfusion_launcher.pace import Pace


def test_a_sweep_says_how_long_the_jobs_take_that_remain(caplog):
    caplog.set_level(logging.INFO)
    pace = Pace(total=6, slots=2)
    pace.tick(0)  # done before, in no time: it says nothing about the others
    pace.tick(1, 50.0)
    pace.tick(2, 70.0)
    assert caplog.messages == [
        "#1 took 50 s; 2 of 6 jobs done, about 2 min left",  # four of 50 s on two slots: 100 s
        "#2 took 70 s; 3 of 6 jobs done, about 90 s left",
    ]


def test_the_last_job_leaves_nothing(caplog):
    caplog.set_level(logging.INFO)
    Pace(total=1, slots=1).tick(0, 5.0)
    assert caplog.messages == ["#0 took 5 s; 1 of 1 jobs done"]
