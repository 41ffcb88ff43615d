"""Text that nobody should take for anything but text, and what a page or a terminal must have made of it."""

import unicodedata
from html.parser import HTMLParser

# As it is given, and as it is to be read.
NAMES = {
    "<script>alert(1)</script>": "<script>alert(1)</script>",
    "&lt;b&gt;": "&lt;b&gt;",
    "[bold red]x[/]": "[bold red]x[/]",
    ":warning:": ":warning:",
    "\"quotes' and": "\"quotes' and",
    '" onclick="alert(1)': '" onclick="alert(1)',
    "a\nb": r"a\nb",
    "a\r\tb": r"a\r\tb",
    "\x1b[31mred": r"\x1b[31mred",
    "\x07\x08\x7f\x9b2J": r"\x07\x08\x7f\x9b2J",
    "\u202etxt-exe": r"\u202etxt-exe",
    "\u2066turned\u2069": r"\u2066turned\u2069",
    "line\u2028end": r"line\u2028end",
    "{{ 7*7 }}": "{{ 7*7 }}",
    "{% raw %}": "{% raw %}",
    "tag\U000e0041\u200bged\ufff9": r"tag\U000e0041\u200bged\ufff9",
    "half \udc80": r"half \udc80",
    '"""': '"""',
    "back\\": "back\\",
}
JOINING = "\u200c\u200d"  # letters that are joined, or kept apart, as some scripts have it
DIRECTIONS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def assert_neutral(text, names=()):
    """Nothing in a text acts on what shows it, but ends of lines; and the names can be read, however lines are wrapped."""
    assert not [each for each in text if each != "\n" and _acts(each)]
    whole = _joined(text)
    for name in names:
        assert _joined(NAMES[name]) in whole


def assert_page(source, names=()):
    """As above of a page; besides, no name has become an element or an attribute."""
    page = _Page(source)
    assert not page.tags & {"script", "b"}
    assert not [name for name in page.attributes if name.startswith("on")]
    assert_neutral(source)
    assert_neutral("\n".join(page.said), names)


def _acts(character):
    kind = unicodedata.category(character)
    return (
        kind in ("Cc", "Cs", "Zl", "Zp")
        or (kind == "Cf" and character not in JOINING)
        or unicodedata.bidirectional(character) in DIRECTIONS
    )


def _joined(text):
    return "".join(text.split())


class _Page(HTMLParser):
    """Elements, names of attributes, and everything that is shown or read out."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.attributes, self.said = set(), set(), []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.said += [value for _, value in attrs if value]

    def handle_data(self, data):
        self.said.append(data)
