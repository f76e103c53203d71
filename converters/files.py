"""Opening what the user named, and nothing else: regular files, zip members by exact name, lines of text."""

import stat
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BufferedReader, TextIOWrapper
from lzma import LZMAError
from pathlib import Path, PureWindowsPath
from typing import Any, cast

from evinr.events import InputError


def open_regular(path: Path, name: str) -> BufferedReader:
    """The file, for reading. Raises InputError where there is none, or no regular one (a pipe would hang)."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InputError(f"{name}: not a regular file; give a file or a folder that holds events.txt")
        return path.open("rb")
    except OSError as error:
        raise InputError(f"{name}: cannot be opened: {error.strerror}; check the path") from error


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
    except (
        zipfile.BadZipFile,
        zlib.error,
        LZMAError,
        EOFError,
        OSError,
        NotImplementedError,
        UnicodeDecodeError,
    ) as error:
        raise InputError(f"{name}: damaged zip ({error}); download or pack it again") from error


def open_in_zip(archive: zipfile.ZipFile, name: str, member: str) -> BufferedReader:
    """A member as a stream; `name` is the archive. Raises InputError where there is none of that exact name."""
    try:
        return BufferedReader(cast(Any, archive.open(member)))
    except KeyError as error:
        raise InputError(f"{name}/{member}: no such member; pack it, or take it out of the list") from error


def as_text(stream: BufferedReader) -> TextIOWrapper:
    """The stream as lines, whatever their ends; what is no UTF-8 shows up as a number that does not parse."""
    return TextIOWrapper(stream, "utf-8-sig", errors="replace")


def unsafe_member(member: zipfile.ZipInfo) -> str | None:
    """Why a member must not be read, if so."""
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
