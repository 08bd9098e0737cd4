"""Mean and standard deviation of volumes, without keeping them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Spread:
    """Mean and standard deviation of volumes that need not be kept (Welford, 1962)."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, slices: NDArray[np.float32]) -> None:
        self.count += 1
        if self.count == 1:
            self.first = self.mean = slices
            self._square = np.zeros_like(slices)
            return
        change = slices - self.mean
        self.mean = self.mean + change / self.count
        self._square += change * (slices - self.mean)

    @property
    def std(self) -> NDArray[np.float32]:
        return np.sqrt(self._square / (self.count - 1))
