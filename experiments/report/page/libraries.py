"""JavaScript and CSS of the pages: libraries from PyPI packages, page.js and page.css.

Vega-Lite (from vl-convert-python) draws charts; DataTables (from itables) sorts and filters tables.
Nothing is downloaded. A page contains all files (`inline`), or several pages share them (`linked`).
"""

import contextlib
import functools
import importlib.util
import json
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from markupsafe import Markup

from experiments.records import write_atomically

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Libraries:
    """HTML elements that load the libraries, and the sources that the browser may use.

    Attributes:
        styles: `<style>` or `<link>` elements.
        scripts: `<script>` elements.
        source: The Content-Security-Policy source of scripts and styles.
    """

    styles: Markup
    scripts: Markup
    source: str


def files() -> dict[str, str]:
    """The contents of all files, by name; scripts are loaded in this order."""
    return {
        "datatables.css": _datatables("css"),
        "page.css": (_HERE / "page.css").read_text(encoding="utf-8"),
        "vega.js": _vega(),
        "datatables.js": f"window.dataTablesModule = {json.dumps(_datatables('js'))};",
        "page.js": (_HERE / "page.js").read_text(encoding="utf-8"),
    }


def inline() -> Libraries:
    """Elements that contain all files."""
    styles, scripts = [], []
    for name, text in files().items():
        if name.endswith(".css"):
            styles.append(f"<style>{_closed(text, 'style')}</style>")
        else:
            scripts.append(f"<script>{_closed(text, 'script')}</script>")
    return Libraries(Markup("\n".join(styles)), Markup("\n".join(scripts)), "'unsafe-inline'")


def linked(folder: str) -> Libraries:
    """Elements that refer to shared files.

    Args:
        folder: The folder of the files, relative to the page.
    """
    names = list(files())
    styles = [f'<link rel="stylesheet" href="{folder}/{n}">' for n in names if n.endswith(".css")]
    scripts = [f'<script src="{folder}/{name}"></script>' for name in names if name[-2:] == "js"]
    return Libraries(Markup("\n".join(styles)), Markup("\n".join(scripts)), "'self'")


def _closed(text: str, element: str) -> str:
    """Escapes text so that it cannot end its enclosing HTML element."""
    return text.replace(f"</{element}", f"<\\/{element}").replace("<!--", "<\\!--")


@functools.cache
def _datatables(kind: str) -> str:
    found = importlib.util.find_spec("itables")  # an import would load pandas
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError("the pages need itables: pip install jaxpool[experiments]")
    folder = Path(found.submodule_search_locations[0])
    return (folder / "html" / f"dt_bundle.{kind}").read_text(encoding="utf-8")


@functools.cache
def _vega() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script; cached, since bundling takes seconds."""
    import pooch
    import vl_convert

    version = metadata.version("vl-convert-python")
    path = Path(pooch.os_cache("jaxpool")) / "vega" / f"embed-{version}.js"
    with contextlib.suppress(OSError):
        return path.read_text(encoding="utf-8")
    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    script = f"(() => {{\n{bundle}\n}})();\n"
    with contextlib.suppress(OSError):  # without a writable cache, each process bundles again
        write_atomically(path, script)
    return script
