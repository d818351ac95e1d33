"""What can be read off a figure: its texts, their boxes, its marks."""

from __future__ import annotations

import matplotlib


def words(figure):
    """All text of a figure, those of its axes included."""
    return [text.get_text().strip() for text in figure.findobj(matplotlib.text.Text)]


def lines(figure, **look):
    """Lines of all axes that look so."""
    drawn = [line for axes in figure.axes for line in axes.lines]
    return [line for line in drawn if all(getattr(line, f"get_{k}")() == v for k, v in look.items())]


def visible_texts(figure):
    """Texts that are seen, with their boxes in pixels."""
    seen = [t for t in figure.findobj(matplotlib.text.Text) if t.get_visible() and t.get_text().strip()]
    hidden = {t for axes in figure.axes for t in _hidden_ticks(axes)}
    renderer = figure.canvas.get_renderer()
    return [(t.get_text(), t.get_window_extent(renderer).extents) for t in seen if t not in hidden]


def _hidden_ticks(axes):
    """Tick labels outside the limits, and those whose side of the axes is not labelled."""
    for axis, low, high in ((axes.xaxis, *sorted(axes.get_xlim())), (axes.yaxis, *sorted(axes.get_ylim()))):
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
            inside = axes.axison and low - 1e-9 <= tick.get_loc() <= high + 1e-9
            if not (inside and tick.label1.get_visible()):
                yield tick.label1
            yield tick.label2


def overlap(boxes):
    """The largest overlap between two boxes (left, bottom, right, top), as the shorter side of their intersection."""
    pairs = [(a, b) for i, a in enumerate(boxes) for b in boxes[:i]]
    return max(min(min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])) for a, b in pairs)


def boxes_of(figure, texts):
    """The boxes of these texts, each of which must be written once."""
    boxes = [(text, box) for text, box in visible_texts(figure) if text in texts]
    assert sorted(text for text, _ in boxes) == sorted(texts)
    return [box for _, box in boxes]
