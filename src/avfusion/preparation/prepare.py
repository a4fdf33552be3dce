"""Preparation of a store from a corpus."""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from avfusion.corpora import Contents, Corpus, Recording
from avfusion.corpora.media import drop_companions
from avfusion.corpora.table import FEATURE_COLUMNS
from avfusion.data.index import Codes
from avfusion.data.splits import Splits, number_splits
from avfusion.data.store import STORE_FORMAT, Store, read_description
from avfusion.features import Features
from avfusion.features.contract import check_frames
from avfusion.features.identity import SHIPPED, get_name, identify, identify_features
from avfusion.features.streams import StreamEncoder, find_missing_weights
from avfusion.files import safe_name
from avfusion.preparation.description import StoreFacts, read_results, write_description
from avfusion.preparation.executors import Executor
from avfusion.preparation.executors.environment import describe_environment
from avfusion.preparation.executors.local import Local
from avfusion.preparation.file_digests import FileDigests
from avfusion.preparation.leakage import (
    describe_leaks,
    describe_subject_overlap,
    find_untrained_classes,
    refuse_leaks,
)
from avfusion.preparation.precomputed import add_precomputed, check_precomputed
from avfusion.preparation.shares import Share, SharePlan, digest_store, write_share
from avfusion.preparation.streams import add_stream, choose_device, has_stream
from avfusion.preparation.workers import (
    acquire_lock,
    allocate_shards,
    count_shard_clips,
    decode_chunks,
)
from avfusion.targets import choose_target

log = logging.getLogger(__name__)


def prepare(
    corpus: Corpus,
    features: Features,
    stores: str | Path,
    workers: int | None = None,
    limit: int | None = None,
    device: str = "auto",
    precision: str = "32",
) -> Path:
    """Prepare the store of a corpus under these settings, unless it is there; return its folder.

    It is written beside its folder and moved there whole; the next preparation goes on with what an
    interrupted one had written. Its name holds a digest of the settings, of the contents, and
    of every file, wherever the files are and whenever they were copied. ``limit`` takes only so
    many clips, spread over the corpus. ``device`` and ``precision`` are those in which encoders
    compute streams: a name of torch's, or ``auto``; ``32`` or ``bf16``.
    """
    return Preparation(corpus, features, stores, limit).run(Local(workers), device, precision)


class Preparation:
    """A store that is there, or is to be made, of a corpus under some settings.

    ``root`` is its folder. Where a finished one is there, nothing is written: neither a lock nor
    what was begun; so stores can be read from where nobody may write. With a ``share``, such as
    ``3/64``, it is the store of a part of the clips, to be merged with the other shares.
    """

    def __init__(
        self,
        corpus: Corpus,
        features: Features,
        stores: str | Path,
        limit: int | None = None,
        share: str | None = None,
    ) -> None:
        self.corpus, self.stores = corpus, Path(stores)
        self.whole = corpus.read()
        self.features = features = fit_features(features, self.whole)
        self.all_shares = self.contents = limit_contents(self.whole, limit)
        check_modalities(corpus, self.contents, features)
        self.inherent = {*corpus.allowed_leaks} - {"two_labels_for_one_recording"}
        if len(self.all_shares.recordings) < len(self.whole.recordings):
            self.inherent.add("untrained_classes")  # a few clips may lack one by chance
        self.store_name = safe_name(corpus.name, "corpus")
        self.files = FileDigests(self.stores / f"{self.store_name}.files.json")
        self.plan: SharePlan | None = None
        if share is not None:
            self.plan = self._plan_share(Share.parse(share))
            chosen = self.all_shares.recordings[self.plan.first : self.plan.last]
            self.contents = self.all_shares._replace(recordings=chosen)

    def _plan_share(self, share: Share) -> SharePlan:
        """Plan a share of the clips, and what all shares must agree on."""
        contents, state = self.all_shares, hashlib.sha256()
        for line in describe_recordings(contents):
            state.update(line.encode())
        shard_clips = count_shard_clips(self.features)
        return SharePlan(
            *share,
            *share.find_bounds(len(contents.recordings), shard_clips),
            len(contents.recordings),
            shard_clips,
            self.store_name,
            state.hexdigest(),
            list_settings(self.corpus, contents, self.features),
            sorted(self.corpus.allowed_leaks),
            StoreFacts.of(self.corpus, contents, self.features, self.inherent)._asdict(),
            describe_environment(),
        )

    @cached_property
    def root(self) -> Path:
        """The folder of the store; all files are read for its name, unless they are remembered."""
        settings = list_settings(self.corpus, self.all_shares, self.features)
        name = self.store_name
        if self.plan is not None:
            settings.append([self.plan.number, self.plan.total, self.plan.recordings])
            name = f"{name}.share_{self.plan.number}_of_{self.plan.total}"
        return find_store_folder(
            self.stores, name, digest_store(settings, self.describe_recordings())
        )

    def describe_recordings(self) -> Iterator[str]:
        """Describe the recordings of the store, with the content of their files."""
        chosen = None if self.plan is None else self.contents.recordings
        return describe_recordings(self.all_shares, self.files, chosen)

    def count_unread_bytes(self) -> int:
        """Count the bytes that have to be read to know the folder of the store."""
        files = chain(*map(list_files, list_sources(self.contents)))
        return self.files.count_unread_bytes(files)

    @property
    def is_done(self) -> bool:
        """Whether the store is there, with all streams that encoders compute."""
        if not self.root.exists() or not set(self.precomputed) <= set(Store(self.root).streams):
            return False
        return all(has_stream(self.root, encoder) for encoder in self._list_encoders())

    def _list_encoders(self) -> list[StreamEncoder]:
        """Encoders of the streams; those of a share may find nothing that they could encode."""
        encoders = self.features.encoders
        if self.plan is None:
            return encoders
        store = Store(self.root)
        return [one for one in encoders if store.has_modality(one.reads).any()]

    def _list_needed(self, encoders: list[StreamEncoder]) -> list[StreamEncoder]:
        """Encoders of a modality that a recording has; others are not built."""
        clips = self.contents.recordings
        there = {
            "audio": any(clip.sound_source for clip in clips),
            "face": any(clip.picture_source for clip in clips),
        }
        return [encoder for encoder in encoders if there[encoder.modality]]

    @property
    def precomputed(self) -> list[str]:
        """Names of the streams of precomputed features."""
        clips = self.contents.recordings
        return [name for name in FEATURE_COLUMNS if any(getattr(clip, name) for clip in clips)]

    def run(
        self,
        executor: Executor | None = None,
        device: str = "auto",
        precision: str | None = None,
        verify: bool = True,
    ) -> Path:
        """Make the store if it is not there, and the streams that it lacks; return its folder.

        Without an ``executor``, processes of this machine do it. ``verify`` compares the weights of
        encoders with those that computed what is there.
        """
        encoders, executor = self.features.encoders, executor or Local()
        runs_here = bool(encoders) and not executor.is_remote
        chosen = choose_device(device) if runs_here else device
        if not self.root.exists():
            for name in self.precomputed:
                check_precomputed(self.contents, name)
            check_custom_audio(self.features)
            if runs_here and (missing := find_missing_weights(self._list_needed(encoders))):
                raise FileNotFoundError("; ".join(missing) + ".")  # before clips are decoded
            for fault in self.whole.faults:
                log.warning("%s", fault)
            for fault in find_split_faults(self.whole, self.corpus.allowed_leaks):
                log.warning("The splits of %s are refused in training: %s", self.corpus.name, fault)
            what = "store of this corpus under these settings"
            with acquire_lock(self.stores, self.root, what):
                if not self.root.exists():  # another process may have made it meanwhile
                    self.write_store(executor)

        self.files.save()
        refuse_leaks(read_description(self.root)["leaks"], self.corpus.allowed_leaks)
        for name in self.precomputed:
            add_precomputed(self.root, self.contents, name)
        for encoder in self._list_encoders():
            named = encoder is self.features.face_maps  # the store is named by it
            add_stream(self.root, encoder, chosen, precision, verify and not named, executor)

        return self.root

    def write_store(self, executor: Executor) -> None:
        """Decode the clips that are not decoded yet, and move the store into place."""
        partial, journals = Path(f"{self.root}.partial"), Path(f"{self.root}.parts")
        corpus, contents, features = self.corpus, self.contents, self.features
        warn_about_abandoned(self.root)
        chunks = allocate_shards(partial, journals, corpus, contents, features)
        throughput = decode_chunks(chunks, f"Preparing {corpus.name}", executor)
        facts = StoreFacts.of(corpus, contents, features, self.inherent)
        if self.plan is not None:
            write_share(partial, self.plan, read_results(chunks), self.describe_recordings())
        write_description(partial, facts, read_results(chunks), self.plan is not None)
        refuse_leaks(read_description(partial)["leaks"], corpus.allowed_leaks)
        if throughput.clips:
            get_throughput_path(self.root).write_text(json.dumps(throughput), encoding="utf-8")
        os.replace(partial, self.root)
        shutil.rmtree(journals, ignore_errors=True)


def check_custom_audio(features: Features) -> None:
    """Check audio features of other packages, before any clip is decoded."""
    if get_name(type(features.audio)) not in SHIPPED:
        check_frames(features.audio)


def fit_features(features: Features, contents: Contents) -> Features:
    """Features by which recordings that are of one modality do not lack the other.

    Nothing is computed of a modality that no recording has.
    """
    if contents.modalities == "both":
        return features
    one, more = contents.modalities, features.more_streams or {}
    return replace(
        features,
        policies=replace(features.policies, missing="mask"),
        face_maps=features.face_maps if one == "face" else None,
        face_stream=features.face_stream if one == "face" else None,
        audio_stream=features.audio_stream if one == "audio" else None,
        more_streams={key: encoder for key, encoder in more.items() if encoder.modality == one},
    )


def get_throughput_path(root: Path) -> Path:
    """Path of the throughput of a preparation: beside the store, not part of it."""
    return Path(f"{root}.pace.json")


def check_modalities(corpus: Corpus, contents: Contents, features: Features) -> None:
    """Refuse settings that would skip each clip of a corpus without sound, or without pictures."""
    clips, policy = contents.recordings, features.policies.missing
    if policy == "mask" or not clips:
        return
    archived = all(clip.archive_index is not None for clip in clips)
    if archived or not any(clip.sound_source or clip.audio_features for clip in clips):
        cure = "features=images_only" if archived else "features.policies.missing=mask"
        raise ValueError(
            f"The clips of {corpus.name} have no sound, and features.policies.missing={policy} "
            f"keeps none of them: set {cure}."
        )
    if not any(clip.picture_source or clip.face_features for clip in clips):
        raise ValueError(
            f"The clips of {corpus.name} have no picture, and features.policies.missing={policy} "
            "keeps none of them: set features.policies.missing=mask, which keeps the sound alone."
        )


def warn_about_abandoned(root: Path) -> None:
    """Warn about files of interrupted preparations of this corpus with other settings."""
    for other in root.parent.glob(f"{root.name.rpartition('-')[0]}-????????.partial"):
        if other.stem != root.name:
            log.warning("%s was begun with other settings: delete it if it is not needed.", other)


def limit_contents(contents: Contents, limit: int | None) -> Contents:
    """Contents of at most so many clips, evenly spread."""
    if limit is None or limit >= len(contents.recordings):
        return contents
    step = len(contents.recordings) / limit
    chosen = [contents.recordings[int(number * step)] for number in range(limit)]
    return contents._replace(recordings=chosen)


def tabulate_recordings(contents: Contents) -> pa.Table:
    """Split, label and subject of all recordings as columns."""
    columns = {
        name: pa.array((getattr(clip, name) for clip in contents.recordings), pa.string())
        for name in ("split", "label", "subject")
    }
    return pa.table(columns)


def find_split_faults(contents: Contents, allowed: Collection[str]) -> list[str]:
    """Find why the corpus' own splits will be refused, as far as is known before decoding."""
    clips = tabulate_recordings(contents)
    splits = Splits(number_splits(Codes.of(clips["split"])), "column", {}, Path())
    clips = splits.tabulate(clips.drop_columns("split"))
    untrained = find_untrained_classes(clips, choose_target(contents._asdict()).classes_of)
    overlap = "" if "subject_overlap" in allowed else describe_subject_overlap(clips)
    return [overlap] * bool(overlap) + describe_leaks({"untrained_classes": untrained}, allowed)


def find_store_folder(stores: Path, name: str, key: str) -> Path:
    """Find the folder of the store of a key, whether it is there or not.

    The folder of a corpus may have been copied under another name: a store that is there under the
    same key is the store of its copy, too.
    """
    root = stores / f"{name}-{key}"
    others = [] if root.exists() else stores.glob(f"*-{key}")
    return next((other for other in others if (other / "description.json").is_file()), root)


def compute_key(
    corpus: Corpus, contents: Contents, features: Features, files: FileDigests | None = None
) -> str:
    """Eight digits that change with whatever would change the store.

    Where the files lie, and when they were written, changes nothing.
    """
    settings = list_settings(corpus, contents, features)
    return digest_store(settings, describe_recordings(contents, files or FileDigests()))


def list_settings(corpus: Corpus, contents: Contents, features: Features) -> list[Any]:
    """List what decides a store beside its recordings."""
    chosen = {
        name: part for name, part in identify_features(features).items() if name != "face_maps"
    }
    if "model_sha256" in chosen["face"]:
        chosen["face"] = chosen["face"] | {"model": None}  # wherever its file lies
    maps = [features.face_maps.stream] if features.face_maps is not None else []
    names = [*features.streams, *maps]
    settings = [STORE_FORMAT, names, chosen, corpus.on_error, contents.output_names]
    if features.face_maps is not None:
        settings.append(
            [
                identify(type(features.face_maps), "features.face_maps"),
                features.face_maps.identity(),
            ]
        )
    if contents.labels != "single_label":
        settings.append(contents.labels)
    if any(list_features(clip) for clip in contents.recordings):
        settings.append(list(contents.features))
    return settings


def describe_recordings(
    contents: Contents,
    files: FileDigests | None = None,
    chosen: Sequence[Recording] | None = None,
) -> Iterator[str]:
    """Describe each recording, or the chosen ones, as a store is named by it.

    With ``files``, by the content of their files, too; only those of chosen recordings are read.
    """
    has_precomputed = any(list_features(clip) for clip in contents.recordings)
    recordings = contents.recordings if chosen is None else chosen
    paths = list_sources(contents)
    home = find_common_folder(paths)
    relative_paths = {path: os.path.relpath(path, home).replace(os.sep, "/") for path in paths}
    read: dict[Path, list[tuple[str, str]]] = {}
    digests: dict[Path, str] = {}
    if files is not None:
        entries = {path: list_files(path) for path in list_sources(contents, chosen)}
        precomputed = chain(*map(list_features, recordings))
        digests = files.compute(chain(*entries.values(), precomputed))
        read = {path: [(file.name, digests[file]) for file in entries[path]] for path in entries}
    for recording in recordings:
        content: list[Any] = [describe_recording(recording, relative_paths)]
        if files is not None:
            content.append([read[path] for path in recording.sources])
            if has_precomputed:
                content.append([digests[path] for path in list_features(recording)])
        more = {name: getattr(recording, name) for name in ("attributes", "span", "region")}
        if any(more.values()):
            content.append(more)
        yield json.dumps(content, default=str)


def list_features(recording: Recording) -> list[Path]:
    """Files of the features that a recording brings."""
    return [path for path in (recording.face_features, recording.audio_features) if path]


def list_sources(contents: Contents, chosen: Sequence[Recording] | None = None) -> list[Path]:
    """Files and folders that recordings, or the chosen ones, are read from, each once."""
    recordings = contents.recordings if chosen is None else chosen
    return list(dict.fromkeys(chain(*(clip.sources for clip in recordings))))


def list_files(path: Path) -> list[Path]:
    """Files that are read of a path: those of a folder in order, but companions."""
    return sorted(drop_companions(path.iterdir())) if path.is_dir() else [path]


def find_common_folder(paths: Collection[Path]) -> Path:
    """Innermost folder that holds all of some paths."""
    parents = {str(path.parent) for path in paths}
    try:
        return Path(os.path.commonpath(parents))
    except ValueError:  # none, on several drives, or some of them relative
        return Path()


def describe_recording(recording: Recording, names: Mapping[Path, str]) -> list[Any]:
    """Describe a recording, with the names that its paths have in their common folder."""
    values = (getattr(recording, field.name) for field in fields(recording) if field.repr)
    return [names.get(value, str(value)) if isinstance(value, Path) else value for value in values]
