"""Folders and zips of event text, as the IJRR event-camera dataset comes (Mueggler et al. 2017): `events.txt`, and
perhaps `images.txt` with the pictures that it lists."""

from pathlib import Path

from converters.event_text import open_text
from converters.files import Members, folder_members, open_regular, zip_members
from converters.frames import listed_frames
from converters.options import ReadOptions
from converters.stream import SensorSize, Stream
from evinr.events import InputError


def open_text_file(path: Path, name: str, options: ReadOptions) -> Stream:
    """A single file of event text. Raises InputError."""
    return open_text(lambda: open_regular(path, name), (path,), name, "event text", path.stat().st_size, options)


def open_folder(path: Path, name: str, options: ReadOptions) -> Stream:
    """A folder with `events.txt`, and `images.txt` where there are frames. Raises InputError."""
    members = folder_members(path, name)
    if "events.txt" not in members.names:
        found = ", ".join(members.names[:10]) or "nothing"
        raise InputError(
            f"{name}: is a directory, a folder without events.txt (found {found}); give a file, or a folder that has it"
        )
    return _open_members(members, "events.txt", (path / "events.txt",), "IJRR text folder", options)


def open_zip_folder(path: Path, name: str, options: ReadOptions) -> Stream:
    """A zip of such a folder, its members at the root or under one top folder, or of a single text file."""
    members = [member for member in zip_members(path, name).names if not member.startswith("__MACOSX/")]
    events = [member for member in members if member.split("/")[-1] == "events.txt" and member.count("/") <= 1]
    events = events or [member for member in members if member.endswith(".txt") and len(members) == 1]
    if len(events) != 1:
        wrong = f"holds {len(events)} recordings" if events else "holds no events.txt, at its root or in one top folder"
        found = ", ".join(members[:10]) or "nothing"
        raise InputError(f"{name}: {wrong} (found {found}); pack one recording with its events.txt")
    top, events_name = events[0].rpartition("/")[::2]
    inside = zip_members(path, name, f"{top}/" if top else "")
    return _open_members(inside, events_name, (path,), "zip of event text", options)


def _open_members(
    members: Members, events_name: str, files: tuple[Path, ...], kind: str, options: ReadOptions
) -> Stream:
    """Events and frames that stand side by side in a folder or archive."""
    stream = open_text(
        lambda: members.open(events_name),
        files,
        f"{members.name}/{events_name}",
        kind,
        members.sizes(events_name),
        options,
    )
    if "images.txt" not in members.names or options.skip_frames:
        return stream
    frames = listed_frames(f"{members.name}/images.txt", members, "images.txt", options)
    size = stream.size
    if size is None and frames.height and frames.width:
        size = SensorSize(frames.height, frames.width, "the camera frames")
    return stream._replace(frames=(frames,), size=size)
