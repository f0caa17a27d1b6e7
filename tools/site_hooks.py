"""Hooks of the documentation site: README.md becomes its home page, and links are adapted.

In the repository, pages link to files outside `docs/`, such as `../results/...` or `../tests/...`.
The site contains only the pages of `docs/`. Therefore the pictures of `results/` are copied into
the site, and links to other files point to the repository.
"""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
_LINK = re.compile(r"\]\((?!https?:|#)(?P<target>[^)\s]+)\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the home page and the pictures of published results."""
    readme = _LINK.sub(_from_readme, (ROOT / "README.md").read_text(encoding="utf-8"))
    files.append(File.generated(config, "index.md", content=readme))
    for picture in sorted((ROOT / "results").glob("*/*.png")):
        place = picture.relative_to(ROOT).as_posix()
        files.append(File.generated(config, place, abs_src_path=str(picture)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turns links to files outside of `docs/` into links to the site or to the repository."""
    del page, files

    def moved(match: re.Match[str]) -> str:
        target = match["target"]
        if not target.startswith("../"):
            return match[0]
        place = target.removeprefix("../")
        if place == "README.md":
            return "](index.md)"
        if place.startswith("results/") and place.endswith(".png"):
            return f"]({place})"
        return f"]({config.repo_url}/blob/main/{place})"

    return _LINK.sub(moved, markdown)


def _from_readme(match: re.Match[str]) -> str:
    """Rewrites a link of README.md, relative to `docs/`."""
    target = match["target"]
    inside = target.startswith("docs/")
    return f"]({target.removeprefix('docs/') if inside else f'../{target}'})"
