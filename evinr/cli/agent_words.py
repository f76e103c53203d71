"""What W&B's own agent says to `evinr fit`, in the words of the command line.

With `command: [evinr, fit, ${args}]` it sends `--NAME=VALUE` for each parameter, the value as Python prints it
(wandb 0.31, sdk/launch/sweeps/utils.py).
"""

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, get_args, get_origin, get_type_hints

from evinr.cli.commands import Fit, Hosts
from evinr.sweeping import options

GROUPS = options.GROUPS | {"hosts": Hosts}
"""Parts of `Fit`, in which a sweep may nest its parameters."""


def words(argv: Sequence[str]) -> list[str]:
    """The same arguments with flags as `--flag` or `--no-flag`, pairs as two words, 16.0 as 16 where it is a count, options
    out of their groups, and the source in its place; those of other commands, and what no agent says so, as they are."""
    if list(argv[:1]) != ["fit"]:
        return list(argv)
    kinds = _kinds()
    return ["fit", *(said for word in argv[1:] for said in _said(word, kinds))]


def _said(word: str, kinds: Mapping[str, Any]) -> Iterator[str]:
    name, equals, value = word.partition("=")
    group, _, option = name.removeprefix("--").replace("-", "_").rpartition(".")
    inside = _literal(value)
    if not (name.startswith("--") and equals) or (group and option not in _names(group)):
        yield word
    elif option in GROUPS and not group and isinstance(inside, dict):
        for key, each in inside.items():
            yield from _said(f"--{option}.{key}={each}", kinds)
    elif option == "source":
        yield value
    elif kinds.get(option) is bool and value in ("True", "False"):
        yield f"--{'' if value == 'True' else 'no-'}{option.replace('_', '-')}"
    elif int in (kinds.get(option), *get_args(kinds.get(option))) and re.fullmatch(r"-?\d+\.0", value):
        yield f"--{option.replace('_', '-')}={value.removesuffix('.0')}"
    elif isinstance(inside, list | tuple) and _is_pair(kinds.get(option)):
        yield from (f"--{option.replace('_', '-')}", *map(str, inside))
    else:
        yield f"--{option.replace('_', '-')}={value}" if group else word


def _kinds() -> dict[str, Any]:
    """The type of each option by its name, those of the groups, too: `tone` is an option and the group that has it."""
    return {name: kind for record in (Fit, *GROUPS.values()) for name, kind in get_type_hints(record).items()}


def _names(group: str) -> set[str]:
    return {field.name for field in fields(GROUPS[group])} if group in GROUPS else set()


def _is_pair(kind: Any) -> bool:
    return any(get_origin(each) is tuple for each in (kind, *get_args(kind)))


def _literal(value: str) -> Any:
    """The mapping, list or pair that Python printed; None where it is something else."""
    try:
        return ast.literal_eval(value) if value[:1] in ("{", "[", "(") else None
    except (ValueError, SyntaxError):
        return None
