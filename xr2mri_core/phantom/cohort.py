"""The phantom's participants: radiographic features and demographics as in OAI.

`sample_features` draws one knee. A Kellgren-Lawrence grade comes first, then a dominant
compartment, then each finding from a table of conditional probabilities; findings of one
compartment share a latent severity, which correlates them. A draw is kept if
`consistent_kl` gives it the grade that it was drawn for.

KL grades follow the OAI baseline, the other findings are set to plausible values beside them (how
they were read: Felson et al., Osteoarthr Cartil 2011;19:1443). `enrichment=0` gives, per knee (of
60,000 draws)::

    KL 0/1/2/3/4              38 / 18 / 27 / 14 / 3 %
    medial JSN 0/1/2/3        77 / 13 / 7 / 2.5 %   lateral JSN 0/1/2/3   90.6 / 5.8 / 2.8 / 0.8 %
    any osteophyte            60 %                  any of grade >= 2     23 %
    any sclerosis             26 %                  any cyst              6.2 %
    chondrocalcinosis         7 %                   attrition             2.8 %

`enrichment` blends every table with the flat one over the same grades, so that a training corpus
shows rare findings often enough to be learned: 0 is OAI, 1 is flat.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import accumulate
from statistics import NormalDist

import numpy as np

from xr2mri_core.features import VARIABLES

DEFAULT_ENRICHMENT = 0.35
KL_PREVALENCE = (0.38, 0.18, 0.27, 0.14, 0.03)
DOMINANT = {"M": 0.72, "L": 0.18, "both": 0.10}
"""Which compartment carries the disease."""
CHONDROCALCINOSIS = 0.07
"""Per participant, whatever the KL grade; both compartments in two of three."""
_WOMEN = 0.58
_MEAN_KL = 1.2
_AGE, _AGE_BY_KL, _AGE_WITHIN = (61, 8.8), 1.5, (45, 79)
_BMI, _BMI_BY_KL, _BMI_WITHIN = (28.6, 4.6), 0.8, (17, 48)
_HEIGHT_CM = {"F": (162.5, 6.3), "M": (176.5, 6.8)}
"""Mean and standard deviation, change a grade of KL beyond the mean one, limits. Sex, age and BMI
are about those of OAI's baseline; heights, and how all change with KL, are plausible values."""
_SHARED = 0.75
"""Correlation of each finding with the latent severity of its compartment."""

# P(grade | KL grade) in the compartment that carries the disease, and in the other one.
_Table = Mapping[int, tuple[float, ...]]
_NONE = (1.0,)
_OSTEOPHYTES: _Table = {
    0: _NONE,
    1: (0.55, 0.45),
    2: (0.25, 0.50, 0.22, 0.03),
    3: (0.08, 0.32, 0.38, 0.22),
    4: (0.02, 0.13, 0.35, 0.50),
}
_OSTEOPHYTES_MINOR: _Table = {
    0: _NONE,
    1: (0.90, 0.10),
    2: (0.55, 0.38, 0.06, 0.01),
    3: (0.38, 0.40, 0.17, 0.05),
    4: (0.18, 0.36, 0.29, 0.17),
}
_NARROWING: _Table = {
    0: _NONE,
    1: (0.72, 0.28),
    2: (0.52, 0.48),
    3: (0.0, 0.42, 0.56, 0.02),
    4: (0.0, 0.0, 0.0, 1.0),
}
_NARROWING_MINOR: _Table = {
    0: _NONE,
    1: (0.97, 0.03),
    2: (0.96, 0.04),
    3: (0.92, 0.07, 0.01),
    4: (0.82, 0.12, 0.06),
}
_SCLEROSIS: _Table = {
    0: _NONE,
    1: (0.97, 0.03),
    2: (0.72, 0.23, 0.05),
    3: (0.30, 0.37, 0.26, 0.07),
    4: (0.03, 0.14, 0.40, 0.43),
}
_SCLEROSIS_MINOR: _Table = {
    0: _NONE,
    1: _NONE,
    2: (0.95, 0.05),
    3: (0.88, 0.10, 0.02),
    4: (0.75, 0.17, 0.07, 0.01),
}
_CYSTS: _Table = {0: _NONE, 1: _NONE, 2: (0.97, 0.03), 3: (0.87, 0.13), 4: (0.70, 0.30)}
_CYSTS_MINOR: _Table = {0: _NONE, 1: _NONE, 2: (0.99, 0.01), 3: (0.97, 0.03), 4: (0.93, 0.07)}
_ATTRITION: _Table = {
    0: _NONE,
    1: _NONE,
    2: _NONE,
    3: (0.94, 0.05, 0.01),
    4: (0.42, 0.28, 0.20, 0.10),
}
_ATTRITION_MINOR: _Table = dict.fromkeys(range(5), _NONE)

_FINDINGS: tuple[tuple[str, _Table, _Table], ...] = (
    ("XROSF{}", _OSTEOPHYTES, _OSTEOPHYTES_MINOR),
    ("XROST{}", _OSTEOPHYTES, _OSTEOPHYTES_MINOR),
    ("XRJS{}", _NARROWING, _NARROWING_MINOR),
    ("XRSCF{}", _SCLEROSIS, _SCLEROSIS_MINOR),
    ("XRSCT{}", _SCLEROSIS, _SCLEROSIS_MINOR),
    ("XRCYF{}", _CYSTS, _CYSTS_MINOR),
    ("XRCYT{}", _CYSTS, _CYSTS_MINOR),
    ("XRATT{}", _ATTRITION, _ATTRITION_MINOR),
)


@dataclass(frozen=True, slots=True)
class Demographics:
    """One participant.

    Attributes:
        sex: ``F`` or ``M``.
        age: years, 45 to 79 (OAI's range at enrolment).
        bmi: body mass index, kg/m2, 17 to 48.
        height_cm: body height.
    """

    sex: str
    age: int
    bmi: float
    height_cm: float

    def to_dict(self) -> dict[str, str | int | float]:
        """The values as JSON-ready ones."""
        return asdict(self)


def sample_features(rng: np.random.Generator, enrichment: float = 0.0) -> dict[str, int]:
    """Draws the 19 features of one knee.

    Args:
        rng: source of randomness.
        enrichment: 0 for OAI's prevalences, 1 for flat ones over the grades that each KL grade
            allows, in [0, 1].

    Returns:
        OAI name -> grade for all 19 variables, in the order of Table I, with
        `consistent_kl(features) == features["V00XRKL"]`.

    Raises:
        ValueError: if `enrichment` is outside [0, 1].
    """
    if not 0 <= enrichment <= 1:
        raise ValueError(f"enrichment {enrichment} is not within 0 (as OAI) and 1 (flat)")
    kl = _draw(rng, KL_PREVALENCE, enrichment)
    crystals = _sample_chondrocalcinosis(rng, enrichment)
    while True:
        graded = {"V00XRKL": kl, **crystals, **_sample_findings(rng, kl, enrichment)}
        if consistent_kl(graded) == kl:
            return {variable.name: graded[variable.name] for variable in VARIABLES}


def consistent_kl(features: Mapping[str, int]) -> int:
    """The Kellgren-Lawrence grade that the other findings imply; what was not read counts as 0.

    4: bone on bone (JSN 3) with marked sclerosis (>= 2) or attrition. 3: JSN >= 2, or JSN 1 with a
    definite osteophyte (>= 2). 2: a definite osteophyte, or small ones (1) at two sites or more,
    or a small one with JSN 1 ("possible narrowing"). 1: one doubtful osteophyte or doubtful
    narrowing alone. 0: none of these.
    """
    osteophytes = [features.get(f"V00XROS{bone}{side}", 0) for bone in "FT" for side in "ML"]
    narrowing = _worst(features, "V00XRJSM", "V00XRJSL")
    sclerosis = _worst(features, *(f"V00XRSC{bone}{side}" for bone in "FT" for side in "ML"))
    attrition = _worst(features, "V00XRATTM", "V00XRATTL")
    definite = max(osteophytes) >= 2
    sites = sum(grade > 0 for grade in osteophytes)
    if narrowing == 3 and (sclerosis >= 2 or attrition >= 1):
        return 4
    if narrowing >= 2 or (narrowing == 1 and definite):
        return 3
    if definite or sites >= 2 or (sites == 1 and narrowing == 1):
        return 2
    return 1 if sites or narrowing else 0


def sample_demographics(
    rng: np.random.Generator, features: Mapping[str, int] | None = None
) -> Demographics:
    """Draws a participant: 58 % women, age 61 +- 9, BMI 28.6 +- 4.7 (OAI), both rising with KL.

    Args:
        rng: source of randomness.
        features: grades of the knee; its KL grade shifts age by 1.5 years and BMI by 0.8 kg/m2 a
            grade.
    """
    kl = (features or {}).get("V00XRKL", 1) - _MEAN_KL
    sex = "F" if rng.random() < _WOMEN else "M"
    age = int(np.clip(round(rng.normal(_AGE[0] + _AGE_BY_KL * kl, _AGE[1])), *_AGE_WITHIN))
    bmi = float(np.clip(rng.normal(_BMI[0] + _BMI_BY_KL * kl, _BMI[1]), *_BMI_WITHIN))
    height = rng.normal(*_HEIGHT_CM[sex])
    return Demographics(sex, age, round(bmi, 1), round(float(height), 1))


def _worst(features: Mapping[str, int], *names: str) -> int:
    return max(features.get(name, 0) for name in names)


def _draw(rng: np.random.Generator, table: tuple[float, ...], enrichment: float) -> int:
    return _quantile(rng.random(), table, enrichment)


def _quantile(level: float, table: tuple[float, ...], enrichment: float) -> int:
    """The grade at a quantile of a table blended with the flat one over its possible grades."""
    return min(bisect_right(_cumulative(table, enrichment), level), len(table) - 1)


@lru_cache
def _cumulative(table: tuple[float, ...], enrichment: float) -> tuple[float, ...]:
    flat = 1 / sum(chance > 0 for chance in table)
    scale = (1 - enrichment) / sum(table)
    return tuple(accumulate(scale * chance + enrichment * flat * (chance > 0) for chance in table))


def _sample_chondrocalcinosis(rng: np.random.Generator, enrichment: float) -> dict[str, int]:
    present = _draw(rng, (1 - CHONDROCALCINOSIS, CHONDROCALCINOSIS), enrichment)
    where = ("ML", "M", "L")[int(rng.choice(3, p=(2 / 3, 1 / 6, 1 / 6)))]
    return {f"V00XRCH{side}": int(present and side in where) for side in "ML"}


def _sample_findings(rng: np.random.Generator, kl: int, enrichment: float) -> dict[str, int]:
    dominant = list(DOMINANT)[_draw(rng, tuple(DOMINANT.values()), enrichment)]
    findings = {}
    for side in "ML":
        severity = rng.standard_normal()
        for name, major, minor in _FINDINGS:
            table = major if dominant in (side, "both") else minor
            latent = _SHARED * severity + (1 - _SHARED**2) ** 0.5 * rng.standard_normal()
            level = NormalDist().cdf(latent)
            findings["V00" + name.format(side)] = _quantile(level, table[kl], enrichment)
    return findings
