"""State of many series as arrays with a row each, which grow and shrink together."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray


def cells_of(values: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and column of what is not 0 in `values`, (n, columns): `np.nonzero`, but many times as fast where that is
    little."""
    at = (values != 0).ravel().nonzero()[0]
    row, column = np.divmod(at, values.shape[1]) if at.size else (at, at)
    return row, column


def begins(keys: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether another key begins with each of `keys`, (n,), which stand by each other where they are equal."""
    found = np.ones(len(keys), np.bool_)
    np.not_equal(keys[1:], keys[:-1], out=found[1:])
    return found


class Rows:
    """A base for state in arrays named in FIELDS, each of shape (n, ...): row i belongs to the i-th series followed.

    A row of which nothing is known is all zeros.
    """

    FIELDS: ClassVar[tuple[str, ...]] = ()

    def __len__(self) -> int:
        return len(getattr(self, self.FIELDS[0]))

    def grow(self, rows: int) -> None:
        """Add `rows` series of which nothing is known."""
        for name in self.FIELDS:
            array = getattr(self, name)
            setattr(self, name, np.concatenate([array, np.zeros((rows, *array.shape[1:]), array.dtype)]))

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Forget every series but those in the mask `rows`, (n,)."""
        for name in self.FIELDS:
            setattr(self, name, getattr(self, name)[rows])

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The whole state, by name."""
        return {name: getattr(self, name) for name in self.FIELDS}

    def restore(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Take over what `arrays` gave. Raises KeyError for one that is missing."""
        for name in self.FIELDS:
            setattr(self, name, arrays[name])
