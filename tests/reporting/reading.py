"""What stands on a page, for tests: figures by name, tags and attributes, in the order of the page."""

from html.parser import HTMLParser

_VOID = ("meta", "img", "br", "image", "use", "line", "rect", "polyline", "circle")


class Page(HTMLParser):
    """Reads a page, and sees that every tag is closed."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.ids: list[str] = []
        self.figures: list[tuple[str, float, str]] = []
        self._open: list[str] = []
        self._figure: tuple[str, float] | None = None
        self.text = ""
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        given = dict(attributes)
        if "id" in given:
            self.ids.append(given["id"])
        if "data-figure" in given:
            self._figure = given["data-figure"], float(given["value"])
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in _VOID:
            self._open.pop()

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if self._figure is not None:
            self.figures.append((*self._figure, data))
            self._figure = None
