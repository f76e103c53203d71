"""What the pickle of a checkpoint of PyTorch means: tensors that lie in storages, in nested dictionaries and objects.

As torch/_utils.py rebuilds them, with every size, stride and offset checked against the storage.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np

from evinr.weights.inert_pickle import Made, Name, Outside, Unpickled

Plain = str | bytes | int | float | None
Storages = Mapping[str, np.ndarray]
"""The numbers of each storage, by key."""


class Storage(NamedTuple):
    """Numbers in a row that tensors lie in."""

    key: str
    kind: np.dtype
    length: int
    start: int
    """Where in it the tensor's own storage begins; other than 0 in files of before 0.4."""


def declared(content: Unpickled) -> dict[str, Storage]:
    """The storages that the content needs, by key. The old format also puts source code of classes outside: "module"."""
    found = dict[str, Storage]()
    for label in content.outside:
        if label[0] == "storage":
            storage = _storage(label)
            if found.setdefault(storage.key, storage)[:3] != storage[:3]:
                raise ValueError(f"two storages of the key {storage.key}")
    return found


def _storage(label: Any) -> Storage:
    _, kind, key, _, count, view = label if len(label) == 6 else (*label[:5], None)
    if not isinstance(key, str):
        raise ValueError("a storage without a key")
    return Storage(key, _STORAGES[kind.name], *_counts((count, 0 if view is None else view[1])))


def _counts(numbers: tuple[Any, ...]) -> tuple[int, ...]:
    if len(numbers) > _MOST_AXES or not all(type(number) is int and 0 <= number < 2**63 for number in numbers):
        raise ValueError("a size, stride or offset that is no count")
    return tuple(numbers)


def _tensor(args: tuple[Any, ...], storages: Storages) -> np.ndarray:
    """What `torch._utils._rebuild_tensor`, `..._v2` and `..._v3` make of their arguments."""
    place, offset, size, stride = _storage(args[0].label), *_counts(args[1:2]), _counts(args[2]), _counts(args[3])
    kind = _TYPES[args[6].name] if len(args) > 6 and isinstance(args[6], Name) else place.kind
    if len(args) > 6 and isinstance(args[-1], Made) and args[-1].items:
        raise ValueError("a tensor whose conjugation or negation is pending, which is not read")
    if len(size) != len(stride):
        raise ValueError("a tensor of other sizes than strides")
    if 0 in size:
        return np.zeros(size, kind)
    numbers = storages[place.key].view(kind)[place.start :]
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    if last >= len(numbers):
        raise ValueError(f"a tensor that reaches to number {last} of a storage of {len(numbers)}")
    steps = tuple(step * kind.itemsize if length > 1 else 0 for length, step in zip(size, stride, strict=True))
    return np.lib.stride_tricks.as_strided(numbers[offset:], size, steps, writeable=False)


def _array(value: Any, storages: Storages) -> np.ndarray | None:
    """The tensor that this is, or None."""
    if _of(value) in _WRAPPERS:
        value = _WRAPPERS[_of(value)](value.args)
    if _of(value) in _TENSORS:
        return _tensor(value.args, storages)
    if isinstance(value, Outside) and value.label[0] == "storage":
        place = _storage(value.label)
        return storages[place.key][place.start :]
    return None


def flat(root: Any, storages: Storages) -> tuple[dict[str, np.ndarray], dict[str, Plain]]:
    """All tensors and plain values below, by their names.

    Raises ValueError, TypeError, LookupError or AttributeError where they do not fit the storages.
    """
    arrays, values = dict[str, np.ndarray](), dict[str, Plain]()
    waiting, room = [("", root)], MOST_NAMES
    while waiting:
        name, value = waiting.pop()
        if name in arrays or name in values:
            raise ValueError(f"two entries of the name {shown(name)}")
        if (array := _array(value, storages)) is not None:
            arrays[name] = array
        elif value is None or isinstance(value, (str, bytes, int, float)):
            values[name] = value
        else:
            below = list[tuple[str, Any]]()
            for key, child in _children(value):
                below.append((f"{name}.{key}" if name else key, child))
                room -= len(below[-1][0]) + 16
                if room < 0:  # a pickle may hold a thing in many places, even in itself
                    raise ValueError("the names of its entries would fill memory")
            waiting += reversed(below)
    return arrays, values


def _children(value: Any) -> Iterator[tuple[str, Any]]:
    """Entries of a list, of a dictionary or of what stands for an object, and the object's attributes."""
    if _of(value) == "torch.Size":
        value = value.args[0]
    if isinstance(value, (list, tuple)):
        yield from ((str(place), child) for place, child in enumerate(value))
    elif isinstance(value, Made):
        if _of(value) == "collections.OrderedDict":
            yield from _named(pair for pairs in value.args for pair in pairs)  # as Python 2 wrote it
        elif isinstance(value.state, Made):
            yield from _named(value.state.items)
        yield from _named(value.items)


def _named(items: Iterable[tuple[Any, Any]]) -> Iterator[tuple[str, Any]]:
    """Entries with their keys as parts of a name; one that is no plain value has its place for a name."""
    for place, (key, child) in enumerate(items):
        yield (str(key) if isinstance(key, (str, int, float)) or key is None else f"<{place}>"), child


def _of(value: Any) -> str:
    """The class of what stands for an object, or the function that would have made it."""
    return value.of.name if isinstance(value, Made) and isinstance(value.of, Name) else ""


def shown(name: str) -> str:
    """A name out of a file, fit for a terminal: without control codes, and short."""
    text = name if name.isprintable() else ascii(name)[1:-1]
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


MOST_NAMES = 10_000_000
"""Characters of the names of all entries, and 16 for each."""
_LONGEST_SHOWN = 160
_MOST_AXES = 64
"""As numpy."""


_STORAGES = {
    f"torch.{name}": np.dtype(kind)
    for name, kind in {
        "DoubleStorage": np.float64,
        "FloatStorage": np.float32,
        "HalfStorage": np.float16,
        "BFloat16Storage": ml_dtypes.bfloat16,
        "LongStorage": np.int64,
        "IntStorage": np.int32,
        "ShortStorage": np.int16,
        "CharStorage": np.int8,
        "ByteStorage": np.uint8,
        "BoolStorage": np.bool_,
        "ComplexFloatStorage": np.complex64,
        "ComplexDoubleStorage": np.complex128,
        "storage.UntypedStorage": np.uint8,
    }.items()
}
_TYPES = {f"torch.{name}": np.dtype(name) for name in ("uint16", "uint32", "uint64")}
"""Those without a storage of their own, which `_rebuild_tensor_v3` is told."""
_TENSORS = {f"torch._utils._rebuild_tensor{version}" for version in ("", "_v2", "_v3")}
_WRAPPERS: dict[str, Callable[[tuple[Any, ...]], Any]] = {
    "torch._utils._rebuild_parameter": lambda args: args[0],
    "torch._utils._rebuild_parameter_with_state": lambda args: args[0],
    "torch._tensor._rebuild_from_type_v2": lambda args: Made(args[0], args[2]),
}
"""What puts a tensor in a wrapping, and the tensor in it."""
KNOWN = {*_STORAGES, *_TYPES, *_TENSORS, *_WRAPPERS, "collections.OrderedDict", "torch.Size", "torch.Tensor"}
"""What needs no telling: it makes up tensors and dictionaries of them."""
