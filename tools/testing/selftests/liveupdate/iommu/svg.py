# SPDX-License-Identifier: GPL-2.0
"""A small writer of SVG whose colours follow the reader's light or dark page."""

from xml.sax.saxutils import escape

# name: (on a light page, on a dark page)
PALETTE = {
    "card": ("#ffffff", "#12171e"), "edge": ("#d8dee4", "#30373f"),
    "ink": ("#1f2328", "#e6edf3"), "dim": ("#59626b", "#9aa4af"),
    "grid": ("#e4e8ec", "#262d36"), "band": ("#f4f6f8", "#181e26"),
    "quiet": ("#dfe6f5", "#22304a"), "sent": ("#8c959f", "#8c959f"),
    "landed": ("#1a7f5a", "#3fb987"), "lost": ("#d1344b", "#ff6b7f"),
    "area": ("#f8dade", "#46202a"), "refused": ("#c9761a", "#e8a04c"),
}

FONT = '"Helvetica Neue", Helvetica, Arial, "Liberation Sans", "DejaVu Sans", sans-serif'


def style():
    """Rules for every colour, as a fill (f-NAME) and as a stroke (s-NAME)."""
    def rules(index):
        return "".join(".f-%s{fill:%s}.s-%s{stroke:%s}" % (name, pair[index], name, pair[index])
                       for name, pair in PALETTE.items())
    return ("text{font-family:%s}.b{font-weight:600}%s@media(prefers-color-scheme:dark){%s}"
            % (FONT, rules(0), rules(1)))


def fmt(value):
    """A number without digits that nobody sees."""
    return ("%.1f" % value).rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


class Canvas:
    """Collects the elements of a picture."""

    def __init__(self, width, height, title):
        self.width, self.height, self.title = width, height, title
        self.parts = []
        self.texts = []

    def add(self, tag, text=None, fill="none", stroke=None, cls=None, **attributes):
        classes = [cls] if cls else []
        if fill != "none":
            classes.append("f-" + fill)
        else:
            attributes["fill"] = "none"
        if stroke:
            classes.append("s-" + stroke)
        attributes["class"] = " ".join(classes) or None
        fields = "".join(' %s="%s"' % (key.replace("_", "-"), escape(fmt(value), {'"': "&quot;"}))
                         for key, value in attributes.items() if value is not None)
        self.parts.append("<%s%s/>" % (tag, fields) if text is None else
                          "<%s%s>%s</%s>" % (tag, fields, escape(text), tag))

    def text(self, x, y, text, size=12, color="ink", anchor=None, bold=False):
        self.texts.append((x, y, text, size, anchor))
        self.add("text", text, fill=color, cls="b" if bold else None, x=float(x), y=float(y),
                 font_size=size, text_anchor=anchor)

    def rect(self, x, y, width, height, fill, **more):
        self.add("rect", fill=fill, x=float(x), y=float(y), width=float(width),
                 height=float(height), **more)

    def line(self, x1, y1, x2, y2, stroke, width=1, **more):
        self.add("line", stroke=stroke, stroke_width=width, x1=float(x1), y1=float(y1),
                 x2=float(x2), y2=float(y2), **more)

    def path(self, points, stroke, width=1, **more):
        """A line through points."""
        if points:
            self.add("path", stroke=stroke, stroke_width=width, d="M" + "L".join(
                "%s %s" % (fmt(float(x)), fmt(float(y))) for x, y in points), **more)

    def document(self):
        head = ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d"'
                ' height="%d" role="img"><title>%s</title><style>%s</style>'
                % (self.width, self.height, self.width, self.height, escape(self.title), style()))
        return head + "\n" + "\n".join(self.parts) + "\n</svg>\n"
