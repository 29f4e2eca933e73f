"""The page: one HTML file with its data, its script, plotly.js and DataTables. It loads no other resources.

plotly and itables are an optional extra, `pip install "verl-vision-r1[report]"`; each bundles its JavaScript.
"""

import base64
import hashlib
import html
import json
import re
from importlib import resources
from importlib.util import find_spec
from typing import Any, Final

PAGE: Final = "report.page"
SCRIPTS: Final = (
    *("text.js", "state.js", "filters.js", "view.js", "shapes.js", "labels.js", "link.js", "curves.js", "picture.js"),
    *("switches.js", "detail.js", "header.js", "table.js", "main.js"),
)
EXPORTS: Final = re.compile(r"export\s*\{([^}]*)\}\s*;?")
"""The export statement at the end of the bundle of itables."""


def render(document: dict[str, Any]) -> str:
    """Render the page of a document.

    Args:
        document: The input of `assets/*.js`: `title`, `notes`, `refresh`, `runs`, `highlights`,
            `figures`, `prompts`, `images`, `palette`.

    Returns:
        The HTML.

    Raises:
        ValueError: plotly or itables is not installed, or the bundle of itables has another format.
    """
    scripts = {"plotly": _plotly(), "tables": _tables(), "script": _script()}
    parts = {
        "title": html.escape(document["title"]),
        "policy": _policy([*scripts.values()]),
        "style": _tables_style() + _text("style.css"),
        "data": _data(document),
        **scripts,
    }
    # In one pass, so that placeholders within the inserted text stay as they are.
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _text("page.html"))


def _data(document: dict[str, Any]) -> str:
    """The document as ASCII JSON without `<`, `>` and `&`, so that it cannot contain markup or end its script."""
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _policy(scripts: list[str]) -> str:
    """A content security policy that allows only these scripts, and no requests."""
    digests = (hashlib.sha256(script.encode("utf-8")).digest() for script in scripts)
    allowed = " ".join(f"'sha256-{base64.b64encode(digest).decode('ascii')}'" for digest in digests)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:"


def _text(name: str) -> str:
    return resources.files("verl_vision_r1").joinpath("report", "assets", name).read_text(encoding="utf-8")


def _script() -> str:
    return '"use strict";\n' + "\n".join(map(_text, SCRIPTS))


def _plotly() -> str:
    _expect("plotly")
    from plotly.offline import get_plotlyjs

    return _within_script(get_plotlyjs())


def _tables() -> str:
    """The DataTables bundle of itables as a plain script that defines `window.DataTable`."""
    _expect("itables")
    bundle = resources.files("itables").joinpath("html", "dt_bundle.js").read_text(encoding="utf-8")
    found = [export for export in EXPORTS.finditer(bundle) if " as default" in export[1]]
    if len(found) != 1:
        raise ValueError(
            f"itables: expected one default export in dt_bundle.js, got {len(found)}; install another version"
        )
    name = next(
        part.split(" as ")[0].strip() for part in found[0][1].split(",") if part.strip().endswith(" as default")
    )
    body = bundle[: found[0].start()] + bundle[found[0].end() :]
    return _within_script(f"(() => {{{body}\nwindow.DataTable = {name};\n}})();")


def _tables_style() -> str:
    style = resources.files("itables").joinpath("html", "dt_bundle.css").read_text(encoding="utf-8")
    return style.replace("</style", "<\\/style")


def _within_script(code: str) -> str:
    """Escape code so that it cannot end its script element."""
    return code.replace("</script", "<\\/script").replace("<!--", "<\\!--")


def _expect(package: str) -> None:
    if find_spec(package) is None:
        raise ValueError(f'report: expected the package {package}, got none; pip install "verl-vision-r1[report]"')
