"""Claims about stores in object storage, read through a cache from an S3 server on loopback."""

import errno
import pickle
import re
import shutil
import signal
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import fork_server
import numpy as np
import pytest
import torch
from conftest import write_recordings
from filelock import FileLock
from object_server import BUCKET, break_off, damage
from tiny_encoders import TinyVoice

from avfusion.corpora import Manifest
from avfusion.data import remote
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.data.remote import Cache
from avfusion.data.store import Store, open_files
from avfusion.preparation import workers as work
from avfusion.preparation.prepare import prepare
from avfusion.preparation.streams import add_stream
from avfusion.preparation.upload import MARKER, check_upload, upload_store

STORES = f"s3://{BUCKET}/stores"
PIECE = 20_000  # bytes


@pytest.fixture(scope="session")
def local(recordings, long_features, tmp_path_factory):
    """A store of 24 clips in shards of 7, 7, 7 and 3, with a computed stream."""
    clip_bytes = sum(array.nbytes for array in long_features.arrays(1).values())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work, "SHARD_BYTES", 7 * clip_bytes)
        stores = tmp_path_factory.mktemp("stores")
        store = prepare(Manifest(str(recordings)), long_features, stores)
    add_stream(store, TinyVoice(), torch.device("cpu"))
    return store


@pytest.fixture(scope="session")
def address(server, local):
    return upload_store(local, check_upload(STORES))


@pytest.fixture(autouse=True)
def quiet_server(local, server, monkeypatch):  # prepared in forks, before there are threads
    monkeypatch.setattr(remote, "RETRY_SECONDS", 0.0)
    server.requests.clear()
    yield
    server.faults.clear()
    server.refused = ""


@pytest.fixture
def small_pieces(monkeypatch):
    """Let a file be fetched in pieces, two at a time."""
    monkeypatch.setattr(remote, "CHUNK_BYTES", PIECE)
    monkeypatch.setattr(remote, "CHUNKS_AT_ONCE", 2)


@pytest.fixture
def cache(tmp_path):
    return Cache(str(tmp_path / "cache"))


def open_store(address, cache):
    return Store(open_files(address, cache))


def check_same(store, local):
    """Claim that two stores read the same values of all clips."""
    other = Store(local)
    rows = np.arange(len(other))
    assert store.streams.keys() == other.streams.keys()
    for name in other.streams:
        assert torch.equal(store.read(name, rows), other.read(name, rows))


def content(root):
    files = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


def test_object_storage_has_the_bytes_of_the_folder_and_the_description_last(
    server, local, tmp_path
):
    place = upload_store(local, f"{STORES}_of_another_folder")
    put = [one.key.partition(f"{local.name}/")[2] for one in server.requests if one.method == "PUT"]
    found = content(local)
    written = [name for name in put if not name.endswith(MARKER)]
    assert set(written) == set(found) and put[-2:] == ["tiny/stream.json", "description.json"]
    assert {*remote.list_files(*remote.connect(place))} == set(found)  # no marker is left
    for name, value in found.items():
        assert server.fs.cat_file(f"{place}/{name}") == value

    server.requests.clear()
    assert upload_store(local, f"{STORES}_of_another_folder/") == place
    assert not [one for one in server.requests if one.method == "PUT"]


def test_a_cold_and_a_warm_cache_give_what_the_folder_gives(server, address, local, cache):
    store, folder = open_store(address, cache), Store(local)
    check_same(store, local)
    assert store.records([3, 20]) == folder.records([3, 20])
    assert store.skipped() == folder.skipped() and store.has_weights("tiny")
    assert all(
        torch.equal(value, folder.encoder("tiny")[name])
        for name, value in store.encoder("tiny").items()
    )
    everyone = np.ones(24, bool)
    for name in ("frames", "mfcc", "tiny"):
        ours, theirs = (one.moments(name, everyone).pack() for one in (store, folder))
        assert np.array_equal(ours, theirs)
    read = {name: value for name, value in content(store.root).items() if name in content(local)}
    assert {*content(local)} - {*read} == {"near_duplicates.csv"}
    assert all(content(local)[name] == value for name, value in read.items())

    server.requests.clear()
    check_same(open_store(address, cache), local)
    assert {Path(one.key).name for one in server.requests if one.method == "GET"} == {
        "description.json",
        "stream.json",
        BUCKET,  # the listing
    }


def test_processes_of_a_loader_ask_nobody_for_what_is_there(server, address, cache):
    store = open_store(address, cache)
    frames = store.read("frames", np.array([0]))
    server.requests.clear()
    other = pickle.loads(pickle.dumps(store))
    assert torch.equal(other.read("frames", np.array([0])), frames)
    assert not server.requests


def fetched_arrays(store):
    """Names of the shards of streams that the cache has."""
    names = (path.relative_to(store.root) for path in store.root.rglob("0*.npy"))
    return {name.as_posix() for name in names if name.parts[0] != "moments"}


@pytest.mark.parametrize(
    ("stage", "shards"), [(None, "0123"), ("fit", "012"), ("test", "23"), ("validate", "2")]
)
def test_only_the_streams_and_the_shards_of_the_splits_that_are_read_are_fetched(
    stage, shards, address, cache
):
    data = FaceAudioDataModule(address, streams=["mfcc", "tiny"], cache=cache)
    data.trainer = stage and SimpleNamespace(state=SimpleNamespace(fn=stage))
    data.prepare_data()
    assert data.path == address
    fetched = fetched_arrays(data.store)
    computed = {name for name in fetched if name.startswith("tiny/")}
    assert fetched - computed == {f"mfcc/0000{number}.npy" for number in shards} and computed
    assert not (data.store.root / "report.csv").exists()


BIG = "waveform/00001.npy"


def arrive(body):
    """An answer that nothing happens to."""
    return [body]


def test_a_connection_that_breaks_goes_on_where_it_broke(
    server, address, local, cache, small_pieces
):
    store = open_store(address, cache)
    store.file("index.parquet")
    server.faults += [arrive] * 4 + [break_off] * 3
    assert store.file(BIG).read_bytes() == (local / BIG).read_bytes()
    firsts, pieces = server.fetched(BIG), range(0, (local / BIG).stat().st_size, PIECE)
    assert {*firsts} == {*pieces} and len(firsts) <= len(pieces) + 4
    assert firsts.count(0) == 1 and not server.faults  # and none begins anew


def test_what_a_broken_transfer_has_left_is_not_fetched_again(
    server, address, local, cache, small_pieces
):
    store, name = open_store(address, cache), BIG
    server.faults += [arrive] * 2 + [break_off] * 100
    sentence = rf"{address}/{name} cannot be read \(.*check the network .*the same command goes on"
    with pytest.raises(OSError, match=sentence):
        store.file(name)
    left = (store.root / f"{name}.partial").stat().st_size
    assert left == 2 * PIECE < (local / name).stat().st_size

    server.faults.clear()
    server.requests.clear()
    assert store.file(name).read_bytes() == (local / name).read_bytes()
    assert sorted(server.fetched(name))[0] == left


@pytest.mark.slow
def test_a_process_that_is_killed_goes_on_where_it_was(server, address, local, cache, small_pieces):
    name = BIG
    reached, release = threading.Event(), threading.Event()

    def hold(body):
        reached.set()
        release.wait(60)
        return [body]

    store = open_store(address, cache)
    server.faults += [arrive] * 3 + [hold] * 2  # the index, two pieces, and no more
    program = Path(__file__).parents[1] / "store_reader.py"
    command = [sys.executable, str(program), address, cache.folder, name, str(PIECE)]
    process = fork_server.Popen(list(map(str, command)))
    assert reached.wait(60)
    process.send_signal(signal.SIGKILL)
    process.wait()
    release.set()
    server.requests.clear()
    server.faults.clear()
    assert store.file(name).read_bytes() == (local / name).read_bytes()
    assert sorted(server.fetched(name))[0] == 2 * PIECE


def test_two_readers_at_once_fetch_each_file_once(server, address, local, cache):
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: check_same(open_store(address, cache), local), range(2)))
    asked = Counter((one.key, one.first) for one in server.requests if one.first is not None)
    assert {*asked.values()} == {1} and len(asked) > 10


def test_an_interruption_does_not_wait_for_the_process_that_fetches_a_file(tmp_path):
    store, stop = SimpleNamespace(root=tmp_path, is_there=lambda name: False), threading.Event()
    transfer = remote.Transfer(None, "", "a.npy", print, stop, store)
    with FileLock(f"{tmp_path / 'a.npy'}.fetch"):
        threading.Timer(0.1, stop.set).start()
        transfer.fetch()
    assert not (tmp_path / "a.npy.partial").exists()


def test_what_was_damaged_on_the_way_is_fetched_once_more(server, address, local, cache):
    server.faults += [damage]
    name = "mfcc/00000.npy"
    path = open_store(address, cache).file("index.parquet")
    assert path.read_bytes() == (local / "index.parquet").read_bytes()
    path = open_store(address, cache).file(name)
    assert path.read_bytes() == (local / name).read_bytes()


def test_a_damaged_object_is_refused(server, local, cache):
    place = upload_store(local, f"{STORES}_damaged")
    good = server.fs.cat_file(f"{place}/mfcc/00002.npy")
    server.fs.pipe_file(f"{place}/mfcc/00002.npy", good[:-1] + bytes([good[-1] ^ 1]))
    store = open_store(place, cache)
    sentence = rf"{place}/mfcc/00002.npy is damaged, fetched twice: its SHA-256 is .* Delete it the"
    with pytest.raises(ValueError, match=sentence):
        store.read("mfcc", np.array([14]))
    assert len(store.read("mfcc", np.array([13]))) == 1  # others are not

    server.fs.rm_file(f"{place}/mfcc/00002.npy")
    with pytest.raises(FileNotFoundError, match=r"lacks mfcc/00002.npy: upload the store again"):
        open_store(place, cache).read("mfcc", np.array([14]))
    assert upload_store(local, f"{STORES}_damaged") == place
    check_same(open_store(place, cache), local)


def test_a_half_written_store_is_refused_and_its_upload_goes_on(server, local, cache):
    stores, name = f"{STORES}_half", "waveform/00001.npy"
    place = f"{stores}/{local.name}"
    server.refused = name
    with pytest.raises(PermissionError, match=f"{place} cannot be written with the credentials of"):
        upload_store(local, stores)
    with pytest.raises(FileNotFoundError, match=r"half-written: it has \d+ files and no descripti"):
        open_store(place, cache)

    server.refused = ""
    before = {one.key for one in server.requests if one.method == "PUT"}
    server.requests.clear()
    upload_store(local, stores)
    after = {one.key for one in server.requests if one.method == "PUT"}
    assert {key for key in before & after} == {f"{place.removeprefix('s3://')}/{name}"}
    check_same(open_store(place, cache), local)


def test_what_another_interrupted_upload_has_left_is_not_taken_for_uploaded(
    server, local, tmp_path, cache
):
    stores, other = f"{STORES}_of_two", shutil.copytree(local, tmp_path / local.name)
    for name in ("tiny/00000.npy", "frames/00000.npy"):
        (other / name).write_bytes((local / name).read_bytes()[::-1])  # of the same length
    for name in ("tiny/stream.json", "description.json"):
        (other / name).write_text((local / name).read_text() + " ")
    # All files of the other are there, the last of which is not written again at first.
    for root, server.refused in ((other, "tiny/stream.json"), (local, "tiny/00000.npy")):
        with pytest.raises(PermissionError):
            upload_store(root, stores)
    server.refused = ""
    place = upload_store(local, stores)
    for name, value in content(local).items():
        assert server.fs.cat_file(f"{place}/{name}") == value
    check_same(open_store(place, cache), local)


def test_a_stream_that_is_added_later_is_uploaded_and_found(server, local, tmp_path, cache):
    stores, before = f"{STORES}_grown", shutil.copytree(local, tmp_path / local.name)
    shutil.rmtree(before / "tiny")
    place = upload_store(before, stores)
    store = open_store(place, cache)
    store.fetch(["mfcc"], np.arange(24))
    assert "tiny" not in store.streams
    server.requests.clear()
    upload_store(local, stores)
    assert all("/tiny/" in one.key for one in server.requests if one.method == "PUT")
    check_same(open_store(place, cache), local)
    assert not server.fetched("mfcc/00000.npy")  # the cache is the same


def test_another_store_or_stream_of_the_same_name_is_not_overwritten(
    server, address, local, tmp_path
):
    other = shutil.copytree(local, tmp_path / local.name)
    text = (other / "tiny" / "stream.json").read_text()
    (other / "tiny" / "stream.json").write_text(text.replace('"32"', '"bf16"'))
    with pytest.raises(
        ValueError, match=rf"{address} holds another stream tiny than {other}: give"
    ):
        upload_store(other, STORES)
    (other / "description.json").write_text((other / "description.json").read_text() + " ")
    with pytest.raises(ValueError, match=rf"{address} holds another store than {other}: give anot"):
        upload_store(other, STORES)


def test_the_store_opened_longest_ago_is_deleted_but_none_that_is_open(
    local, tmp_path, monkeypatch
):
    """file:// is an address, too: a disk that machines share, read through one of their own."""
    stores = [f"file://{shutil.copytree(local, tmp_path / f'{n}' / local.name)}" for n in range(4)]
    every, size = np.arange(24), sum(map(len, content(local).values())) / 1e9
    cache = Cache(str(tmp_path / "cache"), 2.5 * size)

    def fill(address):
        store = open_store(address, cache)
        store.fetch([*store.streams], every)
        return store

    kept = fill(stores[0])
    folder = fill(stores[1]).root  # closed at once
    assert folder.exists()
    time.sleep(0.01)
    second = fill(stores[2])
    assert not folder.exists() and fetched_arrays(kept) == fetched_arrays(second)
    with pytest.raises(OSError, match=r"size_gb=.* too little for file://.* in use: set at least"):
        fill(stores[3])
    check_same(kept, local)


def test_what_else_lies_in_the_folder_of_a_cache_is_neither_counted_nor_deleted(tmp_path):
    others = [tmp_path / "corpora" / "ravdess", tmp_path / "stores" / "faces-1a2b3c4d"]
    for folder in others:
        folder.mkdir(parents=True)
        (folder / "clip.mp4").write_bytes(bytes(2000))
        folder.with_name(f"{folder.name}.lock").touch()
    Cache(str(tmp_path), size_gb=1e-6).make_room(500, "a store")
    with pytest.raises(OSError, match="beside the 0 GB that are in use"):
        Cache(str(tmp_path), size_gb=1e-6).make_room(1500, "a store")
    assert all((folder / "clip.mp4").exists() for folder in others)


def test_a_full_disk_is_told_of_before_and_while_it_fills(address, cache, monkeypatch):
    store = open_store(address, cache)
    full = SimpleNamespace(free=10)
    monkeypatch.setattr(remote.shutil, "disk_usage", lambda _: full)
    with pytest.raises(OSError, match=rf"{address} needs .* GB more, and the disk of .* free some"):
        store.file("frames/00000.npy")
    full.free = 10**9

    class Full:
        def write(self, piece):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match=r"waveform/00000.npy needs .* GB more, and the disk of"):
        remote.Transfer(None, "", "waveform/00000.npy", print, None, store.files).write(Full(), b"")


def test_what_was_opened_before_is_read_where_the_address_cannot_be_reached(
    address, local, cache, monkeypatch, caplog
):
    check_same(open_store(address, cache), local)

    def fail(*_):
        raise TimeoutError("no route to http://me:my_secret@host/?token=my_token")

    monkeypatch.setattr(remote, "read_bytes", fail)
    check_same(open_store(address, cache), local)
    assert "what was opened before is read" in caplog.text
    with pytest.raises(
        OSError, match=r"cannot be read \(TimeoutError: no route to http://\*\*\*@h"
    ):
        open_store(address, Cache(str(cache.folder / "other")))
    assert "my_" not in caplog.text


SENTENCES = {
    f"s3://no-such-bucket/{BUCKET}": "There is no bucket no-such-bucket for s3://no-such-bucket",
    f"{STORES}/bucket": f"No store in {STORES}/bucket. Write it there with: python src/prepare.py",
    "s4://bucket/store": "s4://bucket/store begins with s4://, which fsspec does not know: give",
    "gs://bucket/store": "gs://bucket/store needs a package that is missing: gcsfs (pip install",
    "s3://me:secret/of@bucket/store": "data.store=s3://***@bucket/store holds credentials or a qu",
    "file:///nowhere/store": "No store in file:///nowhere/store. Write it there with",
}


UPLOADS = {
    "s3://no-such-bucket/stores": "There is no bucket no-such-bucket for s3://no-such-bucket/store",
    "stores": "prepare.upload=stores is no address, such as s3://bucket/stores: prepare.stores=<f",
    "s3://me:secret/of@bucket": "prepare.upload=s3://***@bucket holds credentials or a query, whi",
}


@pytest.mark.parametrize("place", UPLOADS)
def test_what_a_store_cannot_be_written_to_is_refused_before_it_is_made(place):
    with pytest.raises((ValueError, OSError)) as error:
        check_upload(place)
    assert str(error.value).startswith(UPLOADS[place])


@pytest.mark.slow
def test_the_program_uploads_what_it_prepares_and_prints_the_address(server, run, tmp_path, cache):
    few = write_recordings(tmp_path / "few", subjects=1)
    prepared = f"corpus.root={few}", f"prepare.stores={tmp_path / 'stores'}", "prepare.workers=1"
    told = run("prepare", *prepared, f"prepare.upload=s3://{BUCKET}/program").stdout
    (place,) = re.findall(r"data=store data.store=(s3://\S+)", told)
    (store,) = (tmp_path / "stores").glob("few-????????")
    assert place == f"s3://{BUCKET}/program/{store.name}"
    check_same(open_store(place, cache), store)


@pytest.mark.parametrize("place", SENTENCES)
def test_what_cannot_be_a_store_is_refused_in_a_sentence(place, cache, monkeypatch):
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises((ValueError, OSError)) as error:
        open_store(place, cache)
    assert str(error.value).startswith(SENTENCES[place]) and "secret" not in str(error.value)


def test_a_store_that_must_not_be_read_is_refused_in_a_sentence(server, address, cache):
    server.refused = "description.json"
    with pytest.raises(
        PermissionError, match=rf"{address} cannot be read with the credentials .*P"
    ):
        open_store(address, cache)
