# SPDX-License-Identifier: GPL-2.0
"""Put labels beside each other on a line so that none overlaps another one.

A label wants to stand over its phase. Phases of a few milliseconds are narrower
than any text, so labels push each other aside, each as little as possible.
"""

# Wider than the average glyph of any usual sans-serif font, per unit of size.
GLYPH = 0.6


def width(text, size):
    return len(text) * size * GLYPH


def place(wishes, widths, low, high):
    """The centres of labels in the order of their wishes.

    Minimises the sum of squared distances to the wished centres under the
    condition that neighbours do not overlap: labels that would are merged into
    blocks which stand at the mean of their members' wishes.
    """
    if sum(widths) > high - low:
        raise ValueError("%.0f of labels do not fit into %.0f" % (sum(widths), high - low))
    # Offsets turn "no overlap" into "not decreasing".
    offsets = []
    used = low
    for one in widths:
        offsets.append(used + one / 2)
        used += one
    slack = high - used
    blocks = []
    for wish, offset in zip(wishes, offsets):
        blocks.append([wish - offset, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            value, count = blocks.pop()
            blocks[-1] = [(blocks[-1][0] * blocks[-1][1] + value * count) /
                          (blocks[-1][1] + count), blocks[-1][1] + count]
    shifts = [min(max(value, 0), slack) for value, count in blocks for _ in range(count)]
    return [offset + shift for offset, shift in zip(offsets, shifts)]


def ticks(begin, end, at_most):
    """Round values from begin to end."""
    span = max(end - begin, 1e-9)
    step = 10.0 ** -9
    while True:
        for factor in (1, 2, 5):
            if span / (step * factor) <= at_most:
                step *= factor
                first = int(begin / step) - 1
                values = [round(index * step, 9) for index in range(first, first + at_most + 4)]
                return [value for value in values if begin <= value <= end]
        step *= 10
