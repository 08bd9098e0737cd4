"""Mean and standard deviation of volumes, without keeping them."""

from __future__ import annotations

import numpy as np


class Spread:
    """Mean and standard deviation of volumes that need not be kept (Welford, 1962)."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, slices: np.ndarray) -> None:
        self.count += 1
        if self.count == 1:
            self.first = self.mean = slices
            self._square = np.zeros_like(slices)
            return
        change = slices - self.mean
        self.mean = self.mean + change / self.count
        self._square += change * (slices - self.mean)

    @property
    def std(self) -> np.ndarray:
        return np.sqrt(self._square / (self.count - 1))
