"""Annotations of parameters: what a value must be, and how a widget shows it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class Default:
    """The value of a parameter that nobody has set."""

    value: Any


class Validator:
    """A rule; raises ValueError."""

    def validate(self, value: Any) -> None:
        raise NotImplementedError


@dataclass
class WithinRange(Validator):
    minimum: float
    maximum: float

    def validate(self, value: Any) -> None:
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"{value} is not in [{self.minimum}, {self.maximum}]")


@dataclass
class Minimum(Validator):
    minimum: float

    def validate(self, value: Any) -> None:
        if value < self.minimum:
            raise ValueError(f"{value} is below {self.minimum}")


@dataclass
class Maximum(Validator):
    maximum: float

    def validate(self, value: Any) -> None:
        if value > self.maximum:
            raise ValueError(f"{value} is above {self.maximum}")


@dataclass
class Choice(Validator):
    choices: list

    def validate(self, value: Any) -> None:
        if value not in self.choices:
            raise ValueError(f"{value!r} is none of {self.choices}")


@dataclass
class Exclude(Validator):
    excludedValues: list

    def validate(self, value: Any) -> None:
        if value in self.excludedValues:
            raise ValueError(f"{value!r} is excluded")


@dataclass
class Decimals:
    """Digits after the point that a widget shows."""

    value: int


@dataclass
class SingleStep:
    """The step of a spin box or slider."""

    value: float
