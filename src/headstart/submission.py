"""Filling in a sample submission, as competitions hand them out: a CSV file with an id for every picture."""

import csv
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from headstart.answers import Prediction
from headstart.errors import DataError, nearest

Row = list[str]


class Sample:
    """A sample submission.

    The first column holds ids: the names of files, with or without their suffix. Behind it there is a column for each
    class, which takes its probability; or a single one. What that takes is seen from what the sample holds there:
    names of classes, numbers of classes (in their order, from 0), or, with two classes and a decimal point, the
    probability of the second one.

    Args:
        path: the file.
        classes: those of the RUN, in their order.

    Raises:
        DataError: if it cannot be read or has other columns.
    """

    def __init__(self, path: str | os.PathLike[str], classes: Sequence[str]):
        self._path = path
        try:
            with open(path, newline="", encoding="utf-8-sig") as file:
                rows = [row for row in csv.reader(file) if row]
        except UnicodeDecodeError:
            raise DataError(f"{path} is not text in UTF-8. Give the sample submission as CSV in UTF-8.") from None
        except (OSError, csv.Error) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise DataError(f"the sample submission {path} cannot be read: {reason}.") from None
        if len(rows) < 2 or len(rows[0]) < 2:
            raise DataError(f"{path} is no sample submission: it needs a header, a column of ids and one to fill in.")
        self._header, self._ids = rows[0], [row[0] for row in rows[1:]]
        self._cells = self._filling([row[1] if len(row) > 1 else "" for row in rows[1:]], classes)

    def filled(self, predictions: Iterable[Prediction]) -> Iterator[Row]:
        """The header and a row for every id, in the order of the sample.

        Args:
            predictions: of all pictures that the sample asks for; others are passed over.

        Raises:
            DataError: if there is none for an id, or two.
        """
        wanted = set(self._ids)
        found: dict[str, Prediction] = {}
        for prediction in predictions:
            name = Path(prediction.path).name
            for known in {name, Path(name).stem, Path(prediction.path).as_posix()} & wanted:
                if known in found:
                    raise DataError(f"{found[known].path} and {prediction.path} are both {known!r} in {self._path}.")
                found[known] = prediction
        missing = [name for name in self._ids if name not in found]
        if missing:
            raise DataError(
                f"{len(missing)} of the {len(self._ids)} ids in {self._path} have no picture that can be decoded, the "
                f"first is {missing[0]!r}. An id is the name of a file, with or without its suffix."
            )
        yield self._header
        for name in self._ids:
            yield [name, *self._cells(found[name])]

    def _filling(self, samples: Sequence[str], classes: Sequence[str]) -> Callable[[Prediction], Row]:
        columns = self._header[1:]
        if len(columns) > 1:
            for name in set(columns) ^ set(classes):
                where = "a column of the sample" if name in columns else "a class of the RUN"
                raise DataError(
                    f"{name!r} is {where} only; {self._path} needs a column for every class. "
                    f"{nearest(name, classes if name in columns else columns)}"
                )
            return lambda prediction: [repr(prediction.probabilities[name]) for name in columns]
        if all(sample in classes for sample in samples):
            return lambda prediction: [prediction.label]
        if all(sample.isdecimal() and int(sample) < len(classes) for sample in samples):
            return lambda prediction: [str(list(classes).index(prediction.label))]
        if len(classes) == 2 and all(_is_share(sample) for sample in samples):
            return lambda prediction: [repr(prediction.probabilities[classes[1]])]
        raise DataError(
            f"{self._path} holds {samples[0]!r} under {columns[0]!r}, which is neither a class ({', '.join(classes)}) "
            "nor the number of one, nor, with two classes, a probability."
        )


def _is_share(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False
