"""Pages of HTML that work from disk without a network: of a recording, and of methods side by side."""

from html import escape
from importlib.resources import files
from pathlib import Path

from evinr.events import InputError

MADE_BY = '<meta name="generator" content="evinr">'
"""In the head of every page, so that what is overwritten is known to be one."""


def asset(name: str) -> str:
    """A file that pages are made with."""
    return files("evinr.pages").joinpath(f"assets/{name}").read_text("utf-8")


def head(title: str, allowed: str, style: str) -> str:
    """The head of a page: nothing but its own styles and what `allowed` adds to its content security policy is loaded;
    `style` follows the sheet that all pages share."""
    return f"""<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
{MADE_BY}
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; {allowed}; style-src 'unsafe-inline'">
<title>{escape(title)}</title>
<style>{asset("common.css")}{style}</style>
</head>"""


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
