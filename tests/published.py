"""Checkpoints such as PyTorch writes, without PyTorch."""

import pickle
import sys
import types
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

KINDS = {"float32": "FloatStorage", "float16": "HalfStorage", "bfloat16": "BFloat16Storage"}


class Storage:
    """Stands for PyTorch's in what is pickled."""

    def __init__(self, values: np.ndarray):
        self.values = values


def publish(path: Path, content: Any) -> Path:
    """Write a checkpoint as PyTorch's old format has it: nested dictionaries of arrays, numbers and texts."""
    made = {name: types.ModuleType(name) for name in ("torch", "torch._utils")}
    for module, names in (("torch", KINDS.values()), ("torch._utils", ["_rebuild_tensor_v2"])):
        for name in names:
            setattr(made[module], name, type(name, (), {"__module__": module}))
    stored: list[np.ndarray] = []

    class Pickler(pickle.Pickler):
        def reducer_override(self, obj: Any) -> Any:
            if not isinstance(obj, np.ndarray):
                return NotImplemented
            stride = tuple(step // obj.itemsize for step in obj.strides)
            return made["torch._utils"]._rebuild_tensor_v2, (Storage(obj), 0, obj.shape, stride, False, OrderedDict())

        def persistent_id(self, obj: Any) -> Any:
            if not isinstance(obj, Storage):
                return None
            stored.append(obj.values)
            kind = getattr(made["torch"], KINDS[str(obj.values.dtype)])
            return ("storage", kind, str(len(stored) - 1), "cpu", obj.values.size, None)

    with pytest.MonkeyPatch.context() as patch, path.open("wb") as file:
        for name, module in made.items():
            patch.setitem(sys.modules, name, module)
        for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
            pickle.dump(part, file, 2)
        Pickler(file, 2).dump(content)
        pickle.dump([str(key) for key in range(len(stored))], file, 2)
        for values in stored:
            file.write(values.size.to_bytes(8, "little") + values.tobytes())
    return path
