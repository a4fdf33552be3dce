"""The loaders of a store's splits."""

import copy
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import numpy as np
from jaxtyping import Float, Float64
from torch import Tensor
from torch.utils.data import DataLoader

from avfusion.addresses import check_address, check_folder, is_address
from avfusion.corpora import Corpus
from avfusion.data.balance import find_balanced, weigh_clips
from avfusion.data.batch import Clips, to_float
from avfusion.data.checks import (
    check_augmentation,
    check_modalities,
    check_reading,
    check_recorded,
    check_splits,
    check_streams,
    find_removed,
    keep_applicable,
)
from avfusion.data.dataset import (
    ClipSampler,
    ResumableLoader,
    SequentialClipSampler,
    SplitDataset,
    make_loader,
)
from avfusion.data.protocols import SplitProtocol
from avfusion.data.remote import Cache
from avfusion.data.splits import (
    FoldPlan,
    Plan,
    Spelling,
    Splits,
    format_values,
    make_plan,
    split_clips,
)
from avfusion.data.store import Store, open_files
from avfusion.features import Features
from avfusion.features.clip import MODALITIES
from avfusion.preparation.description import describe_splits
from avfusion.preparation.leakage import refuse_splits
from avfusion.preparation.near_duplicates import describe_near_duplicates
from avfusion.preparation.prepare import Preparation
from avfusion.targets import Target, check_kind, choose_target

log = logging.getLogger(__name__)
TargetFactory = Callable[[Mapping[str, Any]], Target]


class OpenedStore(NamedTuple):
    """A store that was opened to be read by a split plan."""

    store: Store
    splits: Splits
    target: Target
    description: dict[str, Any]


class FaceAudioDataModule(L.LightningDataModule):
    """Paired faces and voices from a store.

    ``store`` is the path of a store, an address that it is read from through a ``cache`` (see
    ``avfusion.data.remote``), or the folder in which ``corpus`` (with ``features``) has or gets
    one. ``root`` is where the files of ``corpus`` are, for its configuration to refer to.
    ``target`` makes what is predicted from the store's description, by default as its labels are.
    ``splits``, ``fold`` and ``split_seed`` spell the split plan, see ``avfusion.data.splits``; a
    ``protocol`` takes the place of ``splits``. ``validation`` is another fold to validate on, or
    ``test``: the test itself.
    ``eval_split`` is what test and predict read. What would let a test score memory is refused
    unless it is allowed; with ``allow_subject_overlap``, plans deal out clips, not subjects.
    ``device`` computes streams where a store is made here: a name of torch's, or ``auto``.
    ``streams`` names the arrays that batches hold, which are those that a network reads; by default
    the first of each modality. ``modalities`` are those that clips keep; the others are taken away,
    as if they had not been recorded (see ``without``). By default none is. ``balance`` draws the
    training clips of an epoch so that classes, subjects, or pairs of both, are as frequent as each
    other (see ``avfusion.data.balance``).

    A checkpoint gets the weights of what computed one of these streams, where they are not too
    large, so that it can be computed again of other recordings; not those of ``more_streams``,
    which training reads and the network does not.
    """

    def __init__(
        self,
        store: str,
        corpus: Corpus | None = None,
        features: Features | None = None,
        augmentation: Mapping[str, Callable[[Clips], Clips] | None] | None = None,
        target: TargetFactory | None = None,
        splits: Spelling = None,
        fold: int | str | None = None,
        split_seed: int = 0,
        allow_subject_overlap: bool = False,
        allow_same_sound_in_two_splits: bool = False,
        allow_same_picture_in_two_splits: bool = False,
        allow_same_take_in_two_splits: bool = False,
        allow_untrained_classes: bool = False,
        eval_split: str = "test",
        batch_size: int = 32,
        num_workers: int = 0,
        seed: int = 0,
        root: str | None = None,
        device: str = "auto",
        streams: Sequence[str] | None = None,
        modalities: Sequence[str] | str | None = None,
        protocol: SplitProtocol | None = None,
        validation: int | str | None = None,
        balance: Sequence[str] | str | None = None,
        more_streams: Sequence[str] = (),
        cache: Cache | None = None,
    ) -> None:
        super().__init__()
        check_reading(batch_size, eval_split, num_workers)
        if corpus is not None and features is not None:
            check_streams(streams or (), features.names, f"What is prepared in {store}")
        makes_store = corpus is not None and features is not None
        if is_address(store) and not makes_store:
            self.path: str | Path = check_address(store)
        else:
            self.path = check_folder(store)  # stores are made in folders alone
        self.cache = cache
        self.root = root
        self.corpus = corpus
        self.features = features
        self.augmentation = [change for change in (augmentation or {}).values() if change]
        self.more_streams = [name for name in more_streams if name not in (streams or ())]
        self.asked = streams if streams is None else [*streams, *self.more_streams]
        self.removed = find_removed(modalities)
        self.make_target = target or choose_target
        by_subject = not allow_subject_overlap
        self.plan = _choose_plan(splits, protocol, fold, split_seed, by_subject)
        if validation not in (None, "test") and not isinstance(self.plan, FoldPlan):
            raise ValueError(
                f"data.validation={validation} names a fold, and {self.plan.spelled} has none: "
                "leave it at null, for clips of their own to validate on, or set test, which every "
                "result then says."
            )
        self.validation = validation
        self.balanced = find_balanced(balance)
        allowed = {
            "subject_overlap": allow_subject_overlap,
            "same_sound_in_two_splits": allow_same_sound_in_two_splits,
            # Where splits may share people, they may share a photograph, too.
            "same_picture_in_two_splits": allow_same_picture_in_two_splits or allow_subject_overlap,
            "same_take_in_two_splits": allow_same_take_in_two_splits,
            "untrained_classes": allow_untrained_classes,
        }
        self.allowed_leaks = [name for name, is_allowed in allowed.items() if is_allowed]
        if self.plan.leak:  # a leaky protocol carries its name, and every result its sentence
            self.allowed_leaks = [name for name in allowed if name != "untrained_classes"]
        self.eval_split = eval_split
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.seed = seed
        self.device = device
        self.preparation: Preparation | None = None  # which has read the corpus
        self.opened: OpenedStore | None = None
        self.training: ResumableLoader | None = None
        self.position = {"clips": 0, "clips_per_step": 0}  # in the epoch that training goes on with

    @property
    def is_made(self) -> bool:
        """Whether opening the store renders, downloads and decodes nothing."""
        if self.corpus is None or self.features is None:
            return True
        if not getattr(self.corpus, "is_there", True):
            return False
        self.preparation = self._plan_store()
        return self.preparation.is_done

    def _plan_store(self) -> Preparation:
        """Plan the preparation of the store that the corpus gets here."""
        assert self.corpus is not None and self.features is not None
        return Preparation(self.corpus, self.features, self.path)

    @property
    def store(self) -> Store:
        """The store, made first where the corpus can be made here."""
        return self._open_store().store

    @property
    def target(self) -> Target:
        """Target of the predictions."""
        return self._open_store().target

    @property
    def streams(self) -> tuple[str, ...]:
        """The names of the streams that batches hold."""
        if self.asked is None:
            return tuple(self.store.shown(modality) for modality in MODALITIES)
        return tuple(self.asked)

    @property
    def network_streams(self) -> tuple[str, ...]:
        """The names of those that the network reads."""
        return tuple(name for name in self.streams if name not in self.more_streams)

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that are read, also where they are taken away."""
        return self._find_modalities(self.store)

    @property
    def kept(self) -> tuple[str, ...]:
        """The modalities that are not taken away."""
        return tuple(modality for modality in MODALITIES if modality not in self.removed)

    @property
    def splits(self) -> Splits:
        """Which clips of the store are in which split."""
        return self._open_store().splits

    @property
    def description(self) -> dict[str, Any]:
        """Description of the data for networks, in plain containers."""
        return self._open_store().description

    def _open_store(self) -> OpenedStore:
        """Open the store, made first where that is possible, split it, and make the target for it.

        Raises:
            ValueError: where the plan does not fit the store, or a test would score memory.
        """
        if self.opened is None:
            if self.corpus is not None and self.features is not None:
                preparation = self.preparation or self._plan_store()
                self.path = preparation.run(device=self.device, verify=False)
                self.corpus = self.preparation = None
            store = Store(open_files(self.path, self.cache))
            check_streams(self.asked or (), store.streams, f"The store in {self.path}")
            check_recorded(self.asked or (), store)
            check_modalities(self.removed, self._find_modalities(store))
            splits = split_clips(self.plan, store, self.validation)
            warn_about_plan(splits)
            for sentence in describe_near_duplicates(store, splits):
                log.warning("%s", sentence)
            asked = store.computed if self.asked is None else self.asked
            description = describe_splits(store, splits, asked)
            refuse_splits(store, splits, description["leaks"], self.allowed_leaks)
            target = self.make_target(description)
            check_kind(target, description["labels"], self.path)
            if target.output_names != description["output_names"]:
                store.respell(target.spell)
            description |= {"outputs": target.outputs}
            self.opened = OpenedStore(store.without(*self.removed), splits, target, description)
            self.augmentation = keep_applicable(self.augmentation, self.streams)

        return self.opened

    def _find_modalities(self, store: Store) -> tuple[str, ...]:
        if self.asked is None:
            return MODALITIES
        read = {store.streams[name].modality for name in self.asked}
        return tuple(modality for modality in MODALITIES if modality in read)

    def reading(self, eval_split: str) -> "FaceAudioDataModule":
        """Same data, of which test and predict read another split."""
        check_reading(self.batch_size, eval_split, self.num_workers)
        other = copy.copy(self)
        other.eval_split = eval_split
        return other

    def without(self, *removed: str) -> "FaceAudioDataModule":
        """Same data, from whose clips modalities are taken away, as if they were not recorded.

        >>> trainer.test(task, data.without("audio"))

        Such clips have the flag ``has_audio`` off, and zeros of length 1 for their sound; without a
        face, their boxes are unknown, too.

        Raises:
            ValueError: There is no such modality, or nothing else is read.
        """
        store = self.store.without(*removed)
        check_modalities(store.removed, self.modalities)
        other = copy.copy(self)
        other.removed = store.removed
        other.opened = self._open_store()._replace(store=store)
        return other

    def shown(self, clips: Clips, modality: str) -> Float[Tensor, "batch *item"]:
        """Frames or sound of clips for display, on the CPU: also where no network reads them."""
        name = self.store.shown(modality)
        if name in clips.streams:
            return clips.streams[name].float().cpu()
        return to_float(self.store.read(name, clips.row.cpu().numpy()))

    def prepare_data(self) -> None:
        """Make the store where that is possible, open it, and fetch what is read of it."""
        check_augmentation(self.store, self.augmentation)
        read = [self.splits.rows(name) for name in self._find_read_splits()]
        self.store.fetch(self.streams, np.concatenate(read))

    def _find_read_splits(self) -> list[str]:
        """Find the splits that are read: before a Trainer has begun, those of a training."""
        stage = self.trainer.state.fn if self.trainer is not None else None
        if stage is None:
            return ["train", "val", self.eval_split]
        return {"fit": ["train", "val"], "validate": ["val"]}.get(stage, [self.eval_split])

    def dataset(self, split: str) -> SplitDataset:
        """Clips of one split."""
        return SplitDataset(self.store, self.splits.rows(split), self.target, self.streams)

    def loader(self, split: str, shuffle: bool = False) -> ResumableLoader:
        """Load one split, this process's part of it."""
        check_splits(self.splits, split)
        dataset = self.dataset(split)
        at = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        clips = len(dataset)
        order = (
            ClipSampler(clips, True, self.seed, *at, self.weigh_clips(dataset))
            if shuffle
            else SequentialClipSampler(clips, *at)
        )

        return make_loader(dataset, order, self.batch_size, self.num_workers)

    def weigh_clips(self, dataset: SplitDataset) -> Float64[Tensor, "clips"] | None:
        """Weigh the clips of a split by what is balanced; None where nothing is."""
        if not self.balanced:
            return None
        rows = dataset.rows
        subjects = np.array(self.store.texts("subject"))[rows]
        return weigh_clips(self.balanced, self.target, dataset.labels[rows], subjects, self.path)

    def train_dataloader(self) -> DataLoader[Clips]:
        """Load the training clips, in another order each epoch, unless a few are overfitted."""
        overfits = self.trainer is not None and self.trainer.overfit_batches > 0  # type: ignore[attr-defined]
        self.training = self.loader("train", shuffle=not overfits)
        self.training.start = self.position["clips"]
        return self.training

    def state_dict(self) -> dict[str, Any]:
        """Position in the epoch and, where there are any, the ``encoders``."""
        state: dict[str, Any] = self.epoch_position()
        return state | ({"encoders": self.encoders} if self.encoders else {})

    def epoch_position(self) -> dict[str, int]:
        """Number of clips of an unfinished epoch that all processes together have read.

        Lightning restores loaders too late for this one, which its schedule asks for first.
        """
        if self.training is None:
            return self.position
        trainer = self.trainer
        order = self.training.sampler
        assert isinstance(order, ClipSampler)
        over = self.training.served >= len(order) * order.ranks
        if trainer is not None:  # an epoch may end before its loader
            progress: Any = trainer.fit_loop.epoch_progress.current
            over |= progress.processed >= progress.ready
            over |= trainer.fit_loop.epoch_loop.batch_progress.is_last_batch

        clips = 0 if over else self.training.served

        return {"clips": clips, "clips_per_step": self.batch_size * order.ranks}

    @cached_property
    def encoders(self) -> dict[str, dict[str, Tensor]]:
        """The weights of what computed the streams that the network reads, by stream.

        Those that are too large to travel stay where they are.
        """
        read = self.network_streams
        return {name: self.store.encoder(name) for name in read if self.store.has_weights(name)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a position."""
        self.position = {name: state_dict[name] for name in ("clips", "clips_per_step")}

    def val_dataloader(self) -> DataLoader[Clips]:
        """Load the validation clips in order."""
        return self.loader("val")

    def test_dataloader(self) -> DataLoader[Clips]:
        """Load the clips to test on, in order."""
        return self.loader(self.eval_split)

    def predict_dataloader(self) -> DataLoader[Clips]:
        """Load the clips to predict, in order."""
        return self.loader(self.eval_split)

    def on_after_batch_transfer(self, batch: Clips, dataloader_idx: int) -> Clips:
        """Give networks floating-point numbers, and augment training clips, on the device."""
        clips = batch.with_floats()
        if self.trainer is not None and self.trainer.training:
            for augment in self.augmentation:
                clips = augment(clips)

        if self.trainer is None:
            return clips
        converted = self.trainer.precision_plugin.convert_input(clips)  # bytes were left alone

        # Half precision would round what is true.
        return converted._replace(label=clips.label, mixed=clips.mixed)


def _choose_plan(
    splits: Spelling,
    protocol: SplitProtocol | None,
    fold: int | str | None,
    seed: int,
    by_subject: bool,
) -> Plan:
    if protocol is None:
        return make_plan(splits, fold, seed, by_subject=by_subject)
    if splits is not None:
        given = format_values(splits) if isinstance(splits, Mapping) else splits
        raise ValueError(
            f"data.splits={given} and data.protocol={protocol.name} exclude each other: leave one "
            "of them out (data.protocol=null, data.splits=null)."
        )
    if seed < 0:
        raise ValueError(f"data.split_seed must be at least 0, got {seed}.")
    return protocol.make_plan(fold, seed)


def warn_about_plan(splits: Splits) -> None:
    """Warn of what a plan shares between training and test, and of what the store lacks of it."""
    if splits.leak:
        log.warning("data.protocol=%s: %s", splits.protocol, splits.leak)
    if splits.validates_on_test:
        log.warning("data.validation=test: the best epoch is chosen on the clips of the test.")
    if splits.remark:
        log.warning("%s", splits.remark)
