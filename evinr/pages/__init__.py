"""Pages of HTML that work from disk without a network: of a recording, and of methods side by side."""

from pathlib import Path

from evinr.events import InputError

MADE_BY = '<meta name="generator" content="evinr">'
"""In the head of every page, so that what is overwritten is known to be one."""


def require_place(page: Path, overwrite: bool) -> None:
    """Raise InputError where the page cannot be written, before anything is read: nothing but a page of ours is replaced."""
    if page.is_dir():
        raise InputError(f"{page}: is a folder; give the name of a page, such as {page / 'page.html'}")
    if not page.parent.is_dir():
        raise InputError(f"{page}: there is no folder {page.parent}; make it first")
    if not page.exists():
        return
    if not overwrite:
        raise InputError(f"{page}: exists already; pass --overwrite or the name of another page")
    with page.open("rb") as file:
        if MADE_BY.encode() not in file.read(2000):
            raise InputError(f"{page}: exists, and is no page of evinr; give the name of another page")
