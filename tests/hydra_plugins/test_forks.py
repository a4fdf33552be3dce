"""Claims about jobs that are forked: each is like a fresh interpreter, and harms no other."""

import gc
import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from time import sleep

import fork_server
import pytest
import torch
from conftest import ROOT, SMALL_PARTY, results
from omegaconf import OmegaConf

from hydra_plugins.avfusion_launcher import _job_server
from hydra_plugins.avfusion_launcher._fork_client import start_server
from hydra_plugins.avfusion_launcher._forked_program import MIN_UNUSED_DESCRIPTOR
from hydra_plugins.avfusion_launcher._job_server import JobServer, is_forkable
from hydra_plugins.avfusion_launcher.launcher import SubprocessLauncher
from hydra_plugins.avfusion_launcher.processes import JobProcesses, make_job_environment

SCRIPT = """import sys
exec(sys.argv[1])
def imports(): import torch
"""
CONFIG = OmegaConf.create({"hydra": {"job_logging": {"root": {"handlers": ["console"]}}}})

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="jobs are forked on Linux")


@pytest.fixture(autouse=True)
def quick_servers(monkeypatch):
    """Servers of jobs are forks, too, and need not import anything."""
    start = partial(start_server, popen=fork_server.Popen)
    monkeypatch.setattr(_job_server, "start_server", start)


class Jobs:
    """Jobs that run a line of Python in a script, in processes of one sweep."""

    def __init__(self, folder: Path, timeout: float | None = None) -> None:
        self.folder = folder
        self.script = folder / "script.py"
        self.script.write_text(SCRIPT)
        self.server = JobServer(str(self.script))
        self.processes = JobProcesses(timeout, slots=2, server=self.server)

    def run(self, code: str, gpus: str | None = None, config=CONFIG) -> tuple[int, str]:
        """The exit code of a job, and what it has written."""
        console = self.folder / "console.log"
        console.unlink(missing_ok=True)
        command = [sys.executable, str(self.script), code]
        return self.processes.run(command, self.folder, gpus, config), console.read_text()

    def tell(self, code: str, **options) -> str:
        """What a job writes that ends well."""
        exit_code, text = self.run(code, **options)
        assert exit_code == 0, text
        return text.strip()


@pytest.fixture
def jobs(tmp_path):
    jobs = Jobs(tmp_path)
    yield jobs
    jobs.server.stop()
    jobs.server._end_server()


def is_forked(jobs: Jobs) -> bool:
    """Whether a job has more than it imports itself."""
    return jobs.tell("print('lightning' in sys.modules)") == "True"


ENDS = {
    "well": "print('done')",
    "with a code": "sys.exit(3)",
    "with a large code": "sys.exit(-1)",
    "with a sentence": "sys.exit('wrong')",
    "with nothing to say": "sys.exit(None)",
    "with an error": "raise ValueError('wrong')",
    "at once": "import os; os._exit(9)",
    "killed": "import os; os.kill(os.getpid(), 9)",
    "interrupted": "raise KeyboardInterrupt",
    "by a segmentation fault": "import ctypes; ctypes.string_at(0)",
    "out of memory": (
        "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**34, 2**34));bytearray(2**35)"
    ),
    "in another thread": (
        "import threading; threading.Timer(0.1, print, ['later']).start(); print('first')"
    ),
    "beside a thread that goes on": (
        "import threading, time;threading.Thread(target=time.sleep, args=[99], daemon=True).start()"
    ),
    "with work left to do": "import atexit; atexit.register(print, 'at the end'); print('now')",
    "with a file left open": "import os; file = os.fdopen(1, 'w', closefd=False); file.write('a')",
}


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """How jobs of one sweep ended that were forked one after the other."""
    with pytest.MonkeyPatch.context() as patch:
        quick = partial(start_server, popen=fork_server.Popen)
        patch.setattr(_job_server, "start_server", quick)
        jobs = Jobs(tmp_path_factory.mktemp("ended"))
        yield {name: jobs.run(code) for name, code in ENDS.items()} | {"forked": is_forked(jobs)}
        jobs.server.stop()
        jobs.server._end_server()


@pytest.mark.parametrize("name", ENDS)
def test_a_forked_job_ends_and_writes_as_a_fresh_interpreter_and_harms_no_later_one(
    name, ended, tmp_path
):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    fresh = subprocess.run(
        [sys.executable, script, ENDS[name]],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    code, text = ended[name]
    assert (code, text.splitlines()[-1:]) == (fresh.returncode, fresh.stdout.splitlines()[-1:])
    assert "_fork" not in text
    assert ended["forked"]


def test_a_forked_job_is_a_child_that_leads_a_session_with_signals_and_paths_as_python_sets_them(
    jobs,
):
    code = (
        "import os, signal, json; main = sys.modules['__main__'];"
        "own = [os.getppid(), os.getsid(0) == os.getpid(), os.getcwd(), sys.path[0]];"
        "own += [main.__file__, sys.argv[0], main.__name__, main.__spec__];"
        "own += [len(signal.pthread_sigmask(signal.SIG_BLOCK, []))];"
        "own += [signal.getsignal(signal.SIGTERM) == signal.SIG_DFL];"
        "own += [signal.getsignal(signal.SIGINT) == signal.default_int_handler];"
        "print(json.dumps(own))"
    )
    script = str(jobs.script)
    expected = [os.getpid(), True, os.getcwd(), str(jobs.folder), script, script, "__main__", None]
    assert json.loads(jobs.tell(code)) == [*expected, 0, True, True]


def test_a_forked_program_leads_its_session_as_soon_as_its_process_id_is_known(tmp_path):
    """Kernels of notebooks are killed by the process group that they had when they were started."""
    (tmp_path / "script.py").write_text("")
    for _ in range(20):
        command = [sys.executable, str(tmp_path / "script.py")]
        with fork_server.Popen(command, start_new_session=True) as process:
            group = os.getpgid(process.pid)
        assert group == process.pid != os.getpgid(0)


def test_a_forked_job_has_its_own_environment_files_and_modules(jobs, monkeypatch):
    monkeypatch.setenv("GIVEN_TO_JOBS", "yes")
    spoil = "import os, json; os.environ['SPOILED'] = json.SPOILED = 'by a job'; os.chdir('/')"
    assert jobs.run(spoil, gpus="3")[0] == 0
    code = (
        "import os, json; print(json.dumps([os.environ.get('SPOILED'), hasattr(json, 'SPOILED'),"
        "os.environ['GIVEN_TO_JOBS'], os.environ['CUDA_VISIBLE_DEVICES'], os.getcwd(),"
        "[os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd')"
        f" if os.path.exists(f'/proc/self/fd/{{n}}') and 2 < int(n) < {MIN_UNUSED_DESCRIPTOR}]]))"
    )
    *others, files = json.loads(jobs.tell(code, gpus="4"))
    assert others == [None, False, "yes", "4", os.getcwd()]
    assert [Path(file).name for file in files] == ["job.lock"]


def test_forked_jobs_draw_other_numbers_as_fresh_interpreters_do_where_nothing_is_seeded(jobs):
    code = (
        "import random, uuid, tempfile, numpy, torch; print(random.random(), uuid.uuid4(),"
        "tempfile.mktemp(), numpy.random.rand(), torch.rand(1).item(), torch.initial_seed())"
    )
    first, second = jobs.tell(code).split(), jobs.tell(code).split()
    assert len(first) == 6 and not set(first) & set(second)


def test_a_forked_job_has_one_thread_and_computes_with_as_many_as_it_is_given(jobs, monkeypatch):
    monkeypatch.setattr("avfusion.threads._user_set_threads", True)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    count = "import os, torch; print(len(os.listdir('/proc/self/task')), torch.get_num_threads())"
    assert jobs.tell(count) == "1 1"
    monkeypatch.setenv("OMP_NUM_THREADS", "3")  # as a rank is given its share by the first one
    assert jobs.tell(count).split()[1] == "3"


def test_a_job_that_takes_too_long_is_stopped_with_what_it_has_started(tmp_path):
    jobs = Jobs(tmp_path, timeout=0.5)
    started = tmp_path / "started"
    code = (
        "import subprocess, time; child = subprocess.Popen(['sleep', '99']);"
        f"open({str(started)!r}, 'w').write(str(child.pid)); time.sleep(99)"
    )
    assert jobs.run(code)[0] == JobProcesses.TIMED_OUT
    with pytest.raises(ProcessLookupError):  # nor is it left as a zombie of this process
        os.kill(int(started.read_text()), 0)
    jobs.server.stop()
    jobs.server._end_server()


def test_ranks_of_a_forked_job_are_forked_from_a_process_that_has_none_of_its_changes(jobs):
    rank = "import os; print('rank', 'lightning' in sys.modules, os.environ.get('SPOILED'))"
    rank += "; sys.exit(5)"
    code = (
        "import os; os.environ['SPOILED'] = 'by the first rank';"
        "from lightning.pytorch.strategies.launchers.subprocess_script import subprocess;"
        f"process = subprocess.Popen([sys.executable, sys.argv[0], {rank!r}],"
        "env={'LOCAL_RANK': '1'}, cwd='/'); print('ended with', process.wait())"
    )
    config = OmegaConf.merge(CONFIG, {"trainer": {"devices": 2}})
    assert jobs.tell(code, config=config).splitlines() == ["rank True None", "ended with 5"]


def test_jobs_are_fresh_interpreters_once_the_server_has_ended_as_one_line_says(jobs, caplog):
    assert is_forked(jobs) and not caplog.records
    jobs.server.process.kill()
    assert [is_forked(jobs), is_forked(jobs)] == [False, False]
    (record,) = caplog.records
    assert record.levelname == "WARNING" and "fresh interpreters" in record.getMessage()


STARTS = {
    "a thread": ("import threading, time; threading.Thread(target=time.sleep, args=[99]).start()"),
    "CUDA": "import torch; torch._C._cuda_getDeviceCount()",
}


@pytest.mark.parametrize("what", STARTS)
def test_nothing_is_forked_from_a_process_in_which_an_import_has_started(what, tmp_path, caplog):
    if what == "CUDA" and torch.version.cuda is None:
        pytest.skip("torch is built without CUDA")
    (tmp_path / "starting.py").write_text(STARTS[what])
    jobs = Jobs(tmp_path)
    jobs.script.write_text(SCRIPT + "def more(): import starting\n")
    assert not is_forked(jobs)
    assert f"an import has {'initialized CUDA' if what == 'CUDA' else 'started'}" in caplog.text


def test_a_job_runs_code_as_it_is_when_the_job_begins(jobs):
    module = jobs.folder / "changing.py"
    module.write_text("VALUE = 1")
    jobs.script.write_text(SCRIPT + "import changing\nprint(changing.VALUE)\n")
    assert jobs.tell("pass") == "1"
    module.write_text("VALUE = 22")
    assert jobs.tell("print('lightning' in sys.modules)").split() == ["True", "22"]


def test_imports_begin_before_the_first_job_which_still_runs_code_as_it_is(jobs):
    module = jobs.folder / "changing.py"
    module.write_text("VALUE = 1")
    jobs.script.write_text(SCRIPT + "import changing\nprint(changing.VALUE)\n")
    jobs.server.start_imports(make_job_environment(jobs.processes.slots))
    first = jobs.server.process
    assert jobs.tell("print('lightning' in sys.modules)").split() == ["True", "1"]
    assert jobs.server.process is first

    jobs.server._end_server()
    jobs.server.start_imports(make_job_environment(jobs.processes.slots))
    jobs.server._wait_for_imports()
    module.write_text("VALUE = 22")
    assert jobs.tell("print('lightning' in sys.modules)").split() == ["True", "22"]


def test_a_sweep_that_is_refused_leaves_no_imports_behind(tmp_path):
    started = tmp_path / "started"
    (tmp_path / "slow.py").write_text(
        f"import time; open({str(started)!r}, 'w').close(); time.sleep(99)"
    )
    jobs = Jobs(tmp_path)
    jobs.script.write_text(SCRIPT + "import slow\n")
    jobs.server.start_imports(make_job_environment(jobs.processes.slots))
    process = jobs.server.process
    while not started.exists():
        assert process.poll() is None
        sleep(0.01)
    del jobs
    gc.collect()
    assert process.wait(60) == -signal.SIGKILL


def test_an_interruption_does_not_wait_for_imports(tmp_path):
    (tmp_path / "slow.py").write_text("import time; time.sleep(99)")
    jobs = Jobs(tmp_path)
    jobs.script.write_text(SCRIPT + "import slow\n")
    with ThreadPoolExecutor() as pool:
        job = pool.submit(jobs.run, "pass")
        while jobs.server.process is None:
            sleep(0.01)
        jobs.processes.stop_all()
        assert job.result()[0] == -signal.SIGTERM


def test_a_job_whose_environment_or_log_depends_on_when_it_imports_is_not_forked():
    assert is_forkable(CONFIG)
    variables = {"hydra": {"job": {"env_set": {"OMP_NUM_THREADS": "2"}}}}
    assert not is_forkable(OmegaConf.merge(CONFIG, variables))
    assert not is_forkable(OmegaConf.create({"hydra": {"job_logging": {"root": None}}}))


def test_forking_can_be_turned_off():
    assert SubprocessLauncher(fork=False).server is None
    assert SubprocessLauncher().server is not None


@pytest.mark.slow
def test_a_forked_job_ends_with_the_very_numbers_of_a_fresh_interpreter(run, tmp_path):
    """What is compared is started by ``subprocess``, not by the server of the tests."""
    small = (
        "model=concat",
        "trainer=cpu",
        "trainer.max_epochs=1",
        "callbacks=minimal",
        SMALL_PARTY,
    )
    environment = os.environ | {"AVFUSION_DATA": str(run.data), "CI": "true"}
    environment |= {"PYTHONPATH": str(ROOT / "src")}
    sweep = ("-m", "seed=1,2", f"hydra.sweep.dir={tmp_path}/sweep")
    for options in (sweep, ("seed=2", f"hydra.run.dir={tmp_path}/run")):
        command = [sys.executable, "src/train.py", *options, *small]
        told = subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
        assert b"fresh interpreters" not in told.stdout

    forked, fresh = tmp_path / "sweep" / "seed2", tmp_path / "run"
    ours, theirs = results(forked), results(fresh)
    durations = dict.fromkeys(("seconds", "step_milliseconds"))
    assert ours | durations == theirs | durations
    first, second = (
        torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
        for folder in (forked, fresh)
    )
    assert all(torch.equal(first[key], second[key]) for key in first | second)
    lines = [(folder / "train.log").read_text().splitlines() for folder in (forked, fresh)]
    assert len(lines[0]) == len(lines[1])  # Lightning's go there from both
