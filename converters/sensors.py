"""Known sensors, and a guess where no one says how large the sensor was."""

from converters.stream import SensorSize

KNOWN_SENSORS = (
    (128, 128, "DVS128"),
    (240, 180, "DAVIS240"),
    (304, 240, "ATIS"),
    (346, 260, "DAVIS346"),
    (408, 306, "ALPIX"),
    (640, 480, "VGA sensors"),
    (1280, 720, "HD sensors"),
)
"""Width, height and name, from small to large."""


def known_sensor(x_max: int, y_max: int) -> tuple[int, int, str] | None:
    """The smallest known sensor that holds the largest coordinates and whose last tenth they reach, if any."""
    for width, height, model in KNOWN_SENSORS:
        if 0.9 * width <= x_max < width and 0.9 * height <= y_max < height:
            return width, height, model
    return None


def infer_size(x_max: int, y_max: int) -> SensorSize:
    """The known sensor that fits the largest coordinates, else just these."""
    if known := known_sensor(x_max, y_max):
        width, height, model = known
        return SensorSize(height, width, f"the coordinates ({model}), a guess: pass --height and --width to be sure")
    if known := known_sensor(y_max, x_max):
        width, height, model = known
        why = f"the largest coordinates, a guess: with x and y exchanged it would be {model}, {width} x {height}"
        return SensorSize(y_max + 1, x_max + 1, why)
    return SensorSize(y_max + 1, x_max + 1, "the largest coordinates, a guess: pass --height and --width to be sure")
