"""The pictures that a RUN was checked on, found again where they were."""

from headstart.bundle import Run
from headstart.errors import DataError
from headstart.images.pictures import Side
from headstart.images.places import is_there
from headstart.records import find_pictures, names_on


def own_pictures(run: Run, side: Side = "val") -> list[str]:
    """The paths of the pictures on one side of a RUN's split that are where they were, in the order of `splits.csv`.

    Raises:
        RunError: if the RUN does not say which they are.
        DataError: if none of them is where it was.
    """
    names = names_on(run, side)
    try:
        place = find_pictures(run)
    except DataError as error:
        raise DataError(f"the pictures of {run.path} are not where they were: {error} Give pictures.") from None
    found = [path for path in (place(name, side) for name in names) if is_there(path)]
    if not found:
        raise DataError(f"none of the {len(names)} {side} pictures of {run.path} is where it was. Give pictures.")
    return found
