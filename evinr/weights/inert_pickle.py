"""Pickles read without running them.

A pickle is a program for a small stack machine, and two of its instructions look up any name of any module and call it:
that is how a file of weights can do what it likes. This machine has all the instructions of containers and numbers, but where
`pickle` would look a name up it writes the name down, and where it would call, it writes down what would have been called.
The opcodes are those of `pickletools`, which only decodes.
"""

import io
import mmap
from collections.abc import Iterable
from dataclasses import dataclass, field
from pickletools import OpcodeInfo, genops
from typing import Any, NamedTuple, cast

MOST_OPCODES = 1_000_000
"""A tensor of a checkpoint takes about 45. Each opcode can make an object of some 100 bytes, so this bounds memory."""


Stream = io.BytesIO | mmap.mmap
"""What a pickle is read from. Neither makes room for more than it has, whatever length the pickle states."""


@dataclass(frozen=True, eq=False, slots=True)
class Name:
    """What would have been looked up: `module.name`."""

    name: str


@dataclass(eq=False, slots=True)
class Made:
    """What would have been made by calling `of` with `args`; a plain dictionary is one of `builtins.dict`."""

    of: Any
    args: tuple[Any, ...] = ()
    items: list[tuple[Any, Any]] = field(default_factory=list)
    """Keys and values set, and what was appended by its index, in order."""
    state: Any = None
    """What would have become its attributes."""


@dataclass(frozen=True, eq=False, slots=True)
class Outside:
    """What the pickle says lies outside of it; of PyTorch, a storage."""

    label: Any


class Unpickled(NamedTuple):
    """What a pickle holds."""

    value: Any
    names: frozenset[str]
    """All that would have been looked up."""
    outside: list[Any]
    """The labels of all that lies outside."""


def load(stream: Stream) -> Unpickled:
    """The pickle that starts here; the stream is left behind its end.

    Lists and sets become lists, numbers, strings and tuples themselves, all else a `Made`, `Name` or `Outside`.
    Raises ValueError, IndexError, KeyError or TypeError where this is no pickle, and nothing else.
    """
    stack, marks, memo = list[Any](), list[int](), dict[int, Any]()
    names, outside = set[str](), list[Any]()

    def marked() -> list[Any]:
        start = marks.pop()
        taken = stack[start:]
        del stack[start:]
        return taken

    def named(module: Any, name: Any) -> Name:
        if not (isinstance(module, str) and isinstance(name, str)):
            raise ValueError("a class without a name")
        names.add(f"{module}.{name}")
        return Name(f"{module}.{name}")

    for count, (opcode, value, _) in enumerate(cast(Iterable[tuple[OpcodeInfo, Any, int]], genops(cast(Any, stream)))):
        if count == MOST_OPCODES:
            raise ValueError(f"a pickle of more than {MOST_OPCODES} instructions, which no network needs")
        match opcode.name:
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                memo[value] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(memo[value])
            case kind if kind in _VALUES:
                stack.append(value)
            case kind if kind in _CONSTANTS:
                stack.append(_CONSTANTS[kind])
            case "MARK":
                marks.append(len(stack))
            case "TUPLE":
                stack.append(tuple(marked()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                size = int(opcode.name[-1])
                stack[-size:] = [(*stack[-size:],)]
            case "EMPTY_LIST" | "EMPTY_SET":
                stack.append([])
            case "LIST" | "FROZENSET":
                stack.append(marked())
            case "APPEND":
                last = stack.pop()
                _append(stack[-1], [last])
            case "APPENDS" | "ADDITEMS":
                several = marked()
                _append(stack[-1], several)
            case "EMPTY_DICT":
                stack.append(Made(DICTIONARY))
            case "DICT":
                stack.append(Made(DICTIONARY, items=_pairs(marked())))
            case "SETITEM":
                value, key = stack.pop(), stack.pop()
                _made(stack[-1]).items.append((key, value))
            case "SETITEMS":
                several = marked()
                _made(stack[-1]).items.extend(_pairs(several))
            case "GLOBAL":
                stack.append(named(*value.split(" ", 1)))
            case "STACK_GLOBAL":
                name, module = stack.pop(), stack.pop()
                stack.append(named(module, name))
            case "REDUCE" | "NEWOBJ":
                args, of = stack.pop(), stack.pop()
                stack.append(Made(of, _arguments(args)))
            case "NEWOBJ_EX":
                _, args, of = stack.pop(), stack.pop(), stack.pop()
                stack.append(Made(of, _arguments(args)))
            case "INST":
                stack.append(Made(named(*value.split(" ", 1)), tuple(marked())))
            case "OBJ":
                of, *args = marked()
                stack.append(Made(of, tuple(args)))
            case "BUILD":
                state = stack.pop()
                _made(stack[-1]).state = state
            case "BINPERSID":
                outside.append(stack[-1])
                stack.append(Outside(stack.pop()))
            case "POP":
                (marks if marks and marks[-1] == len(stack) else stack).pop()
            case "POP_MARK":
                marked()
            case "DUP":
                stack.append(stack[-1])
            case "PROTO" | "FRAME":
                pass
            case "STOP":
                return Unpickled(stack.pop(), frozenset(names), outside)
            case other:
                raise ValueError(f"instruction {other}, which no checkpoint has")
    raise ValueError("a pickle without an end")


DICTIONARY = Name("builtins.dict")

_VALUES = frozenset(
    "INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING BINBYTES SHORT_BINBYTES "
    "BINBYTES8 UNICODE SHORT_BINUNICODE BINUNICODE BINUNICODE8".split()
)
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}


def _made(target: Any) -> Made:
    if not isinstance(target, Made):
        raise ValueError(f"entries or attributes of a {type(target).__name__}")
    return target


def _arguments(args: Any) -> tuple[Any, ...]:
    """Arguments of a call; a tuple cannot hold what is made from it, so that calls form no rings."""
    if not isinstance(args, tuple):
        raise ValueError(f"a call with a {type(args).__name__} for arguments")
    return args


def _append(target: Any, values: list[Any]) -> None:
    if isinstance(target, list):
        target.extend(values)
    else:
        items = _made(target).items
        items.extend(enumerate(values, len(items)))


def _pairs(values: list[Any]) -> list[tuple[Any, Any]]:
    return list(zip(values[::2], values[1::2], strict=True))
