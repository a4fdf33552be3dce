"""Errors of a table, collected so that one exception names them all with their lines."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from avfusion.corpora.recording import Recording
from avfusion.messages import join_items

MAX_EXAMPLES = 5  # further lines with the same error that are quoted


class LineError(ValueError):
    """An error in one line.

    Args:
        problem: what the line is or has, such as ``has an empty label``.
        fix: how to correct it, where that is not obvious.
    """

    def __init__(self, problem: str, fix: str = "") -> None:
        super().__init__(f"{problem}: {fix}." if fix else f"{problem}.")
        self.problem = problem
        self.fix = fix


class ClipsError(ValueError):
    """An error that concerns some clips together."""

    def __init__(self, sentence: str, clips: Sequence[Recording]) -> None:
        super().__init__(sentence)
        self.clips = clips


class TableErrors:
    """All errors of one table.

    Errors with the same fix are one kind: the first line of a kind is reported in full, some others
    briefly, and the rest are counted.
    """

    def __init__(self, table: Path) -> None:
        self.table = table
        self.count = 0
        self._sentences: list[str] = []  # about more than one line
        self._lines: dict[str, list[tuple[int, LineError]]] = {}  # by kind
        self._missing_files = ""

    def add(self, sentence: str, count: int = 1) -> None:
        """Add ``count`` errors that one sentence describes."""
        self._sentences.append(sentence)
        self.count += count

    def add_line(self, line: int, problem: str, fix: str = "") -> None:
        """Add an error of one line; see ``LineError``."""
        self._lines.setdefault(fix or problem, []).append((line, LineError(problem, fix)))
        self.count += 1

    def add_missing_files(self, sentence: str, count: int) -> None:
        """Add ``count`` clips without their files, which one sentence describes."""
        self._missing_files = sentence
        self.count += count

    @contextmanager
    def catch_line(self, line: int) -> Iterator[None]:
        """Add a ``LineError`` that is raised in this context."""
        try:
            yield
        except LineError as error:
            self.add_line(line, error.problem, error.fix)

    @contextmanager
    def catch_clips(self, lines: Mapping[int, int]) -> Iterator[None]:
        """Add a ``ClipsError`` that is raised here; ``lines`` has lines by the clips' ``id()``."""
        try:
            yield
        except ClipsError as error:
            numbers = sorted(lines[id(clip)] for clip in error.clips)
            where = join_items([str(number) for number in numbers])
            self.add(f"{error} See line{'s' * (len(numbers) > 1)} {where}.")
        except ValueError as error:
            self.add(str(error))

    def raise_all(self) -> None:
        """Raise one exception that names all errors, if there are any.

        Raises:
            FileNotFoundError: if missing files are all that is wrong.
            ValueError: otherwise.
        """
        found = [*self._sentences, *(self._describe(kind) for kind in self._lines.values())]
        found += [self._missing_files] if self._missing_files else []

        if len(found) > 1:
            numbered = " ".join(f"({number}) {each}" for number, each in enumerate(found, 1))
            raise ValueError(f"{self.table} has {self.count} errors. {numbered}")
        if found:
            raise (FileNotFoundError if self._missing_files else ValueError)(found[0])

    def _describe(self, lines: Sequence[tuple[int, LineError]]) -> str:
        (line, first), *others = lines
        also = join_items(
            [f"line {number} {error.problem}" for number, error in others], MAX_EXAMPLES
        )
        return f"Line {line} of {self.table} {first}" + (f" Also {also}." if also else "")
