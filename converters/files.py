"""Opening what the user named, and nothing else: regular files, zip members by exact name, lines of text."""

import io
import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from io import BufferedReader, TextIOWrapper
from lzma import LZMAError
from pathlib import Path, PureWindowsPath
from typing import Any, NamedTuple, cast

from evinr.events import InputError

Open = Callable[[str], BufferedReader]
"""Opens one member of a recording by its path inside it; raises InputError where there is none."""
_DAMAGE = (zipfile.BadZipFile, zlib.error, LZMAError, EOFError, OSError, NotImplementedError, UnicodeDecodeError)


class Members(NamedTuple):
    """The members of a folder or zip, which may be opened while the context lasts."""

    name: str
    """For messages."""
    names: tuple[str, ...]
    """Paths inside it; only the top level of a folder."""
    opened: Callable[[], AbstractContextManager[Open]]
    open: Open
    """One member that outlives any context."""
    sizes: Callable[[str], int]
    path: Path
    """The folder or archive itself."""


def open_regular(path: Path, name: str) -> BufferedReader:
    """The file, for reading. Raises InputError where there is none, or no regular one (a pipe would hang)."""
    if "\0" in str(path):
        raise InputError(f"{name!r}: a name with a null character, which no file has; mend it")
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(f"{name}: not a regular file; give a file or a folder that holds a recording")
        return path.open("rb")
    except OSError as error:
        raise InputError(f"{name}: cannot be opened: {error.strerror}; check the path") from error


def folder_members(path: Path, name: str) -> Members:
    """A folder's. Raises InputError where it cannot be listed."""
    try:
        names = tuple(sorted(os.listdir(path)))
    except OSError as error:
        raise InputError(f"{name}: cannot be listed: {error.strerror}; check its permissions") from error

    def open_member(member: str) -> BufferedReader:
        return open_regular(path / member, f"{name}/{member}")

    @contextmanager
    def opened() -> Iterator[Open]:
        yield open_member

    return Members(name, names, opened, open_member, lambda member: os.path.getsize(path / member), path)


def zip_members(path: Path, name: str, prefix: str = "") -> Members:
    """An archive's, below `prefix`. Raises InputError where it is damaged or unsafe."""
    with open_zip(path, name) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist() if not info.is_dir()}
    names = tuple(member.removeprefix(prefix) for member in sizes if member.startswith(prefix))

    @contextmanager
    def opened() -> Iterator[Open]:
        with open_zip(path, name) as archive:
            yield lambda member: open_in_zip(archive, name, prefix + member)

    def alone(member: str) -> BufferedReader:
        return open_zip_member(path, name, prefix + member)

    label = f"{name}/{prefix}".rstrip("/")
    return Members(label, names, opened, alone, lambda member: sizes[prefix + member], path)


@contextmanager
def open_zip(path: Path, name: str) -> Iterator[zipfile.ZipFile]:
    """The archive, for reading as streams. Raises InputError where it is damaged, also while its members are read."""
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                if unsafe := unsafe_member(member):
                    raise InputError(
                        f"{name}: member {member.filename!r} {unsafe}; pack the recording again without it"
                    )
            yield archive
    except _DAMAGE as error:
        raise _damaged(name, error) from error


def open_in_zip(archive: zipfile.ZipFile, name: str, member: str) -> BufferedReader:
    """A member as a stream; `name` is the archive. Raises InputError where there is none of that exact name."""
    try:
        return BufferedReader(cast(Any, archive.open(member)))
    except KeyError as error:
        raise InputError(f"{name}/{member}: no such member; pack it, or take it out of the list") from error


def open_zip_member(path: Path, name: str, member: str) -> BufferedReader:
    """A member as a stream that owns its archive. Raises InputError where there is none, and where damage shows."""
    archive = zipfile.ZipFile(path)
    try:
        return BufferedReader(_Member(archive, cast(Any, archive.open(member)), name), 2**20)
    except KeyError as error:
        archive.close()
        raise InputError(f"{name}/{member}: no such member; pack it, or take it out of the list") from error
    except _DAMAGE as error:
        archive.close()
        raise _damaged(name, error) from error


class _Member(io.RawIOBase):
    """The bytes of a member; damage is an InputError, and closing it closes the archive."""

    def __init__(self, archive: zipfile.ZipFile, stream: zipfile.ZipExtFile, name: str):
        self._archive, self._stream, self._name, self._position = archive, stream, name, 0

    def tell(self) -> int:
        return self._position

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._stream.read(len(buffer))
        except _DAMAGE as error:
            raise _damaged(self._name, error) from error
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._stream.close()
            self._archive.close()
        super().close()


def _damaged(name: str, error: BaseException) -> InputError:
    return InputError(f"{name}: damaged zip ({error}); download or pack it again")


def as_text(stream: BufferedReader) -> TextIOWrapper:
    """The stream as lines, whatever their ends; what is no UTF-8 shows up as a number that does not parse."""
    return TextIOWrapper(stream, "utf-8-sig", errors="replace")


def unsafe_member(member: zipfile.ZipInfo) -> str | None:
    """Why a member must not be read, if so."""
    if not member.filename:
        return "has no name"
    if climbs(member.filename):
        return "points outside the archive"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "is a symbolic link"
    if member.flag_bits & 1:
        return "is encrypted"
    return None


def climbs(member: str) -> bool:
    """Whether a name inside a folder or archive leads out of it, on any system."""
    path = PureWindowsPath(member)
    return bool(path.anchor) or ".." in path.parts


def data_lines(text: Iterable[str]) -> Iterator[tuple[int, str]]:
    """The lines that hold data, counted from 1: without comments, blanks and line ends."""
    for number, line in enumerate(text, 1):
        if data := line.split("#", 1)[0].strip():
            yield number, data
