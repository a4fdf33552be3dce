"""Mistakes of a table, collected so that one error names them all."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from avfusion.corpora.recording import Recording
from avfusion.messages import join_items

SHOWN = 5  # lines of one kind of mistake that an error quotes beside the first


class WrongLine(ValueError):
    """A mistake of one line: ``what`` it is or has, and the ``cure``, if that is not plain."""

    def __init__(self, what: str, cure: str = "") -> None:
        super().__init__(f"{what}: {cure}." if cure else f"{what}.")
        self.what = what
        self.cure = cure


class WrongClips(ValueError):
    """A mistake of some clips together."""

    def __init__(self, sentence: str, clips: Sequence[Recording]) -> None:
        super().__init__(sentence)
        self.clips = clips


class Mistakes:
    """The mistakes of one table, most of them with their lines.

    Lines that need the same cure have the same kind of mistake: the first of them is told in full,
    some others shortly, the rest are counted.
    """

    def __init__(self, table: Path) -> None:
        self.table = table
        self.sentences: list[str] = []  # about more than a line
        self.count = 0
        self.lines: dict[str, list[tuple[int, WrongLine]]] = {}  # by kind
        self.missing = ""  # a sentence about files that are not there, see add_missing

    def __len__(self) -> int:
        return self.count

    def add(self, sentence: str, count: int = 1) -> None:
        """Add so many mistakes, of which a sentence tells."""
        self.sentences.append(sentence)
        self.count += count

    def add_line(self, line: int, what: str, cure: str = "") -> None:
        """Add a mistake of one line."""
        self.lines.setdefault(cure or what, []).append((line, WrongLine(what, cure)))
        self.count += 1

    def add_missing(self, sentence: str, count: int) -> None:
        """Add files that are not there, of which a sentence tells."""
        self.missing = sentence
        self.count += count

    @contextmanager
    def of_line(self, line: int) -> Iterator[None]:
        """Keep the mistake of a line that is raised in this context."""
        try:
            yield
        except WrongLine as mistake:
            self.add_line(line, mistake.what, mistake.cure)

    @contextmanager
    def of_clips(self, lines: Mapping[int, int]) -> Iterator[None]:
        """Keep the mistake of clips that is raised here; ``lines`` are known by their ``id()``."""
        try:
            yield
        except WrongClips as mistake:
            numbers = sorted(lines[id(clip)] for clip in mistake.clips)
            where = join_items([str(number) for number in numbers])
            self.add(f"{mistake} See line{'s' * (len(numbers) > 1)} {where}.")
        except ValueError as mistake:
            self.add(str(mistake))

    def refuse(self) -> None:
        """Raise an error that names all mistakes, if there are any."""
        found = [*self.sentences, *(self.told(kind) for kind in self.lines.values())]
        found += [self.missing] if self.missing else []
        if len(found) > 1:
            numbered = " ".join(f"({number}) {each}" for number, each in enumerate(found, 1))
            raise ValueError(f"{self.table} has {len(self)} mistakes. {numbered}")
        if found:
            raise (FileNotFoundError if self.missing else ValueError)(found[0])

    def told(self, lines: Sequence[tuple[int, WrongLine]]) -> str:
        """Return what is said of the lines with one kind of mistake."""
        (line, first), *others = lines
        also = join_items([f"line {number} {mistake.what}" for number, mistake in others], SHOWN)
        return f"Line {line} of {self.table} {first}" + (f" Also {also}." if also else "")
