"""The page that a browser is shown, from memory: no path of a request is ever looked for on the disk."""

import mimetypes
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from headstart.pages import STYLE
from headstart.serving.endpoint import ROUTE
from headstart.serving.refusal import refusal

_FOLDER = Path(__file__).parent / "page"
_FRONT = "index.html"
_HEADERS = {"Cache-Control": "no-cache"}
_TYPES = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".svg": "image/svg+xml"}


class Page:
    """All files of the page, read once."""

    def __init__(self) -> None:
        files = [STYLE, *(file for file in _FOLDER.iterdir() if file.is_file())]
        self._files = {file.name: (file.read_bytes(), _type_of(file)) for file in files}

    async def front(self, request: Request) -> Response:
        """The page itself."""
        request.scope[ROUTE] = "/"
        return self._file(_FRONT)

    async def file(self, request: Request) -> Response:
        """A file that it needs."""
        request.scope[ROUTE] = "/static"
        return self._file(request.path_params["file"])

    def _file(self, name: str) -> Response:
        if name not in self._files:
            return refusal(404, "there is no such file.")
        content, kind = self._files[name]
        return Response(content, media_type=kind, headers=_HEADERS)


def _type_of(file: Path) -> str:
    return _TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"
