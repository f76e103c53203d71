"""An event sensor: what makes its pixels fire, and its faults."""

from dataclasses import dataclass, fields

import numpy as np

SMALLEST = 0.01
"""Contrast threshold of a pixel, at least, as in v2e and ESIM."""


@dataclass(frozen=True)
class Sensor:
    """What makes a pixel fire. Defaults are those of a good DVS in daylight."""

    contrast_threshold: float = 0.2
    """Change of log intensity that fires an event; of ON events only, if that of OFF events is given."""
    mismatch: float = 0.03
    """Standard deviation of the thresholds over pixels and polarities, in log intensity (ESIM, section 4.1)."""
    leak_rate: float = 0.1
    """ON events per second and pixel without any change, on average (v2e, section 3.4)."""
    shot_noise_rate: float = 1.0
    """Noise events per second in a black pixel; a white one has about a quarter of it (v2e, section 3.3)."""
    off_threshold: float | None = None
    """Change that fires an OFF event; unset, as for ON events."""
    refractory: float = 0.0
    """Seconds after an event in which a pixel is held in reset: it remembers the log intensity at their end."""
    bandwidth: float = 0.0
    """Hz at which the photoreceptor of a white pixel cuts off, in proportion to intensity, down to 0.07 of it in the
    dark (v2e, section 3.2): dark pixels lag, and bright things leave trails. 0: without limit."""
    leak_spread: float = 0.1
    """Standard deviation of the leak over pixels, in decades."""
    leak_jitter: float = 0.1
    """Standard deviation of the time between two leak events of a pixel, relative to that time."""
    hot_pixels: float = 0.0
    """Fraction of the pixels that leak far too much."""
    hot_rate: float = 100.0
    """ON events per second of such a pixel."""

    def __post_init__(self) -> None:
        for name in (field.name for field in fields(self)):
            value = getattr(self, name)
            least = SMALLEST if "threshold" in name else 0.0
            if value is not None and not least <= value < np.inf:
                raise ValueError(f"{name} is {value}, and must be {least:g} or more")
        if self.hot_pixels > 1:
            raise ValueError(f"hot_pixels is {self.hot_pixels}, a fraction, and must be 1 or less")

    @property
    def thresholds(self) -> tuple[float, float]:
        """Nominal thresholds of ON and OFF events."""
        return self.contrast_threshold, self.off_threshold or self.contrast_threshold


SENSORS = {
    "day": Sensor(),
    "clean": Sensor(mismatch=0.0, leak_rate=0.0, shot_noise_rate=0.0),
    "noisy": Sensor(mismatch=0.05, shot_noise_rate=5.0, bandwidth=30.0),
    "night": Sensor(0.25, 0.04, shot_noise_rate=5.0, bandwidth=60.0, refractory=5e-4, hot_pixels=5e-4),
}
"""Sensors by name: a good one, one without faults, v2e's `noisy`, and one that trails in the dark."""
