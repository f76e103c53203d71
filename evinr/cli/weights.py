"""`evinr weights convert` and `evinr weights list`: published weights of PyTorch, to a file of ours or to the terminal."""

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from evinr.cli.commands import ConvertWeights, ListWeights, Weights
from evinr.events import InputError
from evinr.files import parents, resolved
from evinr.weights import safetensors_file, torch_file
from evinr.weights.architectures import ARCHITECTURES, Matched, listed, matched, nearest
from evinr.weights.torch_file import Checkpoint
from evinr.weights.torch_tensors import Plain, shown


def run(command: Weights) -> int:
    """Do what the second word says."""
    match command.action:
        case ConvertWeights() as action:
            return convert(action)
        case ListWeights() as action:
            return tell(action)


def convert(command: ConvertWeights) -> int:
    """Write the weights of one network, out of one checkpoint or two, and tell what was left out and assumed."""
    roles = {"source": command.source} | ({"heads": command.heads} if command.heads else {})
    _require_place(command.out, command.overwrite, list(roles.values()))
    read = {path: torch_file.read(path) for path in roles.values()}
    found, options = _found(read, command.heads)
    with parents(command.out):
        sources = {role: read[path].sha256 for role, path in roles.items()}
        safetensors_file.write(command.out, found.architecture, found.entries, sources, options)
    numbers = sum(values.size for values in found.entries.values())
    _say(f"written: {command.out}")
    _say(f"  {found.architecture}: {len(found.entries)} entries, {numbers} numbers")
    if found.unused:
        _say(f"  left out, as not needed: {listed(found.unused)}")
    for note in found.notes:
        _say(f"  {note}")
    for path, checkpoint in read.items():
        _tell_stubs(path, checkpoint)
    return 0


def tell(command: ListWeights) -> int:
    """Print all that a checkpoint holds."""
    if command.source.suffix == ".safetensors":
        stored = safetensors_file.read(command.source)
        about: dict[str, Plain] = {"architecture": stored.architecture, **stored.options}
        about |= {f"sha256 of its {role}": sha256 for role, sha256 in stored.sources.items()}
        checkpoint = Checkpoint(stored.entries, about, (), stored.sha256)
    else:
        checkpoint = torch_file.read(command.source)
    for name, values in checkpoint.arrays.items():
        _say(f"{shown(name)}: {values.dtype} {values.shape}")
    for name, value in checkpoint.values.items():
        _say(f"{shown(name)} = {shown(repr(value))}")
    _tell_stubs(command.source, checkpoint)
    _say(f"sha256 {checkpoint.sha256}")
    return 0


def _found(sources: Mapping[Path, Checkpoint], heads: Path | None) -> tuple[Matched, Mapping[str, Plain]]:
    """The weights of LPIPS or of a baseline that these hold, and the options that they state."""
    if name := nearest(sources):
        return matched(name, ARCHITECTURES[name], sources), {}
    (path, checkpoint), *_ = sources.items()
    if heads is not None:
        raise InputError(f"{path}: no weights of LPIPS, which alone has heads; leave out --heads")
    from baselines import checkpoints

    found = checkpoints.find(path, checkpoint)
    return found.matched, found.options


def _tell_stubs(path: Path, checkpoint: Checkpoint) -> None:
    if checkpoint.stubs:
        _say(f"  {path}: names {', '.join(checkpoint.stubs)}; nothing of that was looked up or run")


def _say(text: str) -> None:
    Console(highlight=False, markup=False).print(text, soft_wrap=True)


def _require_place(out: Path, overwrite: bool, sources: list[Path]) -> None:
    """Raise InputError where the file cannot be written, before anything is read."""
    if out.suffix != ".safetensors":
        raise InputError(f"{out}: is written as safetensors; give a name such as {out.with_suffix('.safetensors')}")
    if out.is_dir():
        raise InputError(f"{out}: is a folder; give the name of a file, such as {out / 'lpips-alex.safetensors'}")
    if resolved(out) in map(resolved, sources):
        raise InputError(f"{out}: is one of the files to convert; choose another name")
    if out.exists() and not overwrite:
        raise InputError(f"{out}: exists already; pass --overwrite or another name")
