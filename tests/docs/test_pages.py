"""The pages hang together: links lead somewhere, every page can be found, and the README is short."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.paths import ROOT

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
MOST_WORDS = 700
CODE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def links(text: str) -> list[str]:
    """Where the page's links and pictures lead, without those into the web; code is left out."""
    prose = re.sub(r"`[^`\n]*`", "", CODE.sub("", text))
    found = re.findall(r"\]\(([^)\s]+)\)", prose) + re.findall(r"""(?:src|srcset)="([^"]+)\"""", prose)
    return [link for link in found if not link.startswith(("http://", "https://"))]


def paths(text: str) -> list[str]:
    """The files of this repository that the page names as code, without line, function or arguments."""
    named = re.findall(
        r"(?<![\w/.-])((?:[\w.-]+/)+[\w.-]+\.(?:py|md|json|Dockerfile))\b", re.sub(r"\]\([^)]*\)", "]", text)
    )
    named += re.findall(r"(?<![\w/.-])(scripts/(?:[\w-]+/)*[\w-]+)(?=[` ])", text)
    return [path for path in named if not path.startswith(("path/", "MODEL/", "TMPDIR/"))]


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives the page's headings."""
    headings = re.findall(r"^#+ (.+)$", CODE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in links(page.read_text()):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text()), link


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_file_that_is_named_is_there(page: Path) -> None:
    if page.parent.name == "reference":
        return
    folders = (ROOT, ROOT / "pilotlight", page.parent, DOCS, ROOT / "pilotlight/gateway", ROOT / "pilotlight/client")
    for path in paths(page.read_text()):
        assert any((folder / path).exists() for folder in folders), path


def test_the_index_leads_to_every_page() -> None:
    reached, left = set(), [DOCS / "index.md"]
    while left:
        page = left.pop()
        if page not in reached:
            reached.add(page)
            found = [(page.parent / link.partition("#")[0]).resolve() for link in links(page.read_text())]
            left += [target for target in found if target.suffix == ".md" and target.is_relative_to(DOCS)]
    assert {name(page) for page in DOCS.rglob("*.md")} == {name(page) for page in reached}


def test_the_readme_is_two_screens_and_leads_to_the_index() -> None:
    text = (ROOT / "README.md").read_text()
    assert len(text.split()) <= MOST_WORDS
    assert "docs/index.md" in links(text)


def test_links_and_paths_of_every_form_are_seen() -> None:
    text = '[a](b.md#c) ![p](p.svg) `[x](y)` <img src="i.png">\n```text\n[n](o)\n```\n[web](https://x.org)'
    assert links(text) == ["b.md#c", "p.svg", "i.png"]
    assert paths("`a/b.py:c` and `scripts/test` x [c](d/e.md) scripts/dev/x.py `path/to/y.py`") == [
        "a/b.py",
        "scripts/dev/x.py",
        "scripts/test",
    ]
    assert anchors("# A `b` C-d\n\n```text\n# no\n```\n## E, f") == {"a-b-c-d", "e-f"}
