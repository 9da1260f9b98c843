"""Colours for classes to which nobody has given any."""

Colour = tuple[int, int, int]

# Made by `python -m tools.make_palette`: any four in a row are far from each other, for the colour-blind too.
_HEX = """
4b0fff ffe10f 0f87c3 a54b0f 874b4b 87e1ff e1c369 0f4bc3 a52d87 c38787 0fc3ff e1870f 2d87ff 874b2d
87c3c3 c3c387 ffc34b 694bff 0f69c3 69a5c3 a5874b a52d69 e1c30f 872da5 ff87ff a5872d a56969 4bff87
4b2de1 2d87e1 ff2d2d 2da5a5 ffe14b 692dff 0fa5e1 c3a54b a56987 87e1e1 0f69e1 69ff0f a5694b 0f87a5
2dc3a5 4b4be1 e1e169 0f694b 0f6987 a5a569 ff0fff e1a5e1 e1a50f 0f6969 c3a587 870fc3 69c3e1 a5690f
a5e14b a58769 874ba5 ffc3e1 c3a5ff e1872d 0f8769 a569ff 872d87 ffc3ff 0fe169 0f874b 874be1 c34ba5
ffa5c3 2dc34b 0f692d c369ff c32d87 c3c3ff 87c369 0fe10f a569e1 2da587 a52d0f a5e187 87c30f a569c3
c387a5 0f872d a54bff 2dff69 c387e1 a50f69 c30f2d 2dc387 c3c34b 874bc3 a5a5e1 4b690f c32d69 4bff4b
4b4ba5 0fe187 a5692d e187c3 c3e12d c387ff 0f4bff ff2d4b a54b87 ffa5e1 8787ff 692de1 e1690f ff2d69
c387c3 e1e187 6969e1 e10f0f c30f4b 8787c3 ffa587 874bff c3690f ffc32d 6969c3 e1a5c3 e1a587 87870f
694b69 8787e1 872de1 0fa569 a5a52d 0fc3c3 0f69a5 4b2dff 87c387 0fe14b a54b2d c369c3 872dc3 e187a5
ffa54b e12d4b e187e1 a54be1 ff87a5 ffc369 87690f 87c3ff a52dc3 ff4b87 ffa50f ff4b4b 0fe1e1 a587ff
e14b87 690fe1 ff874b a50f2d a587e1 e18787 692dc3 ffa569 c32d0f a587c3 c36969 a52dff c3c369 e1e10f
6969a5 a54b4b 0fe1ff 4ba50f 0f4be1 ff4ba5 4b692d c3e187 a5a50f 6969ff 2d8787 87874b 69a5e1 ffe169
690fff 69a5a5 69872d e187ff e1e14b a50fff a587a5 e18769 a54bc3 ffa52d 0f690f ffa5ff c3a569 e10f87
87e12d e10fe1 a5e1ff 0fa52d 4b6987 69a587 ff2dff e1c3ff 87a54b c3c30f 4b694b e10fff e1a5ff e1a569
0fff0f e10f69 0f69ff e10fa5 e1874b 4bc3ff e12d69 870fe1 e12da5 c3872d 69c3ff e14b69 870fff c30f87
ff4b2d ff2de1 e1c387 2d2dff e12d87 c3870f ff4be1 e10f4b ffc387 ff69a5 c3a50f e10fc3 69690f 87e187
a54b69 e1a52d a54ba5 87692d e14bff 69e1e1 87e169 4b87a5 69874b 8769e1 0f2dff c3a52d 2dc3e1 69a569
4b87e1 2d4be1
"""
DISTINCT: tuple[Colour, ...] = tuple(tuple(bytes.fromhex(colour)) for colour in _HEX.split())


def distinct_colours(count: int, background: int | None) -> tuple[Colour, ...]:
    """The colours of `count` classes, of which the background is black; after the last comes the first."""
    colours = (DISTINCT[number % len(DISTINCT)] for number in range(count))
    return tuple((0, 0, 0) if number == background else colour for number, colour in enumerate(colours))
