"""A page as a browser would take it, as far as the standard library can tell."""

from html.parser import HTMLParser

_VOID = {"br", "hr", "input", "meta"}


class Element:
    def __init__(self, name, attributes, parent):
        self.name, self.attributes, self.parent = name, attributes, parent
        self.children, self.parts = [], []

    def all(self, name):
        """Those of a name, at any depth, in order."""
        found = [child for child in self.children if child.name == name]
        return [one for child in self.children for one in ([child] if child in found else []) + child.all(name)]

    @property
    def text(self):
        return " ".join("".join(self.texts()).split())

    def texts(self):
        for part in self.parts:
            yield from part.texts() if isinstance(part, Element) else [part]

    def id(self, name):
        return next(one for one in self.everything() if one.attributes.get("id") == name)

    def everything(self):
        for child in self.children:
            yield child
            yield from child.everything()


class _Parser(HTMLParser):
    def __init__(self):
        super().__init__()
        self.root = self.now = Element("root", {}, None)

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), f"<{tag}> has an attribute twice"
        element = Element(tag, dict(attrs), self.now)
        self.now.children.append(element)
        self.now.parts.append(element)
        if tag not in _VOID:
            self.now = element

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self.now.name == tag, f"</{tag}> closes <{self.now.name}>"
        self.now = self.now.parent

    def handle_data(self, data):
        self.now.parts.append(data)


def parsed(text):
    """The root of a page; fails where elements are not closed in order."""
    parser = _Parser()
    parser.feed(text)
    parser.close()
    assert parser.now is parser.root, f"<{parser.now.name}> is not closed"
    return parser.root
