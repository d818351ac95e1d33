"""Text for streams whose encoding lacks some letters: these are spelt in ASCII."""

from __future__ import annotations

import codecs
import sys
import unicodedata

_ERRORS = "pdae_sim.spelt"
"""Name of the codec error handler."""

_SPELT = {
    **dict.fromkeys("−–—‐‑", "-"),
    **dict.fromkeys("─━═", "-"),
    **dict.fromkeys("·•", "*"),
    **dict.fromkeys("‘’′", "'"),
    **dict.fromkeys("“”″", '"'),
    "…": "...",
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
    "≈": "~",
    "±": "+/-",
    "×": "x",
    "→": "->",
    "↦": "->",
    "∞": "inf",
    "√": "sqrt",
    "‖": "||",
    "⊂": "<",
}


def spelt(text: str, encoding: str | None) -> str:
    """Text with the letters that an encoding lacks spelt in ASCII.

    Example:
        >>> spelt("Ŵ ≤ −2σ²", "ascii")
        'W^ <= -2sigma^2'
    """
    name = encoding or "ascii"
    return text.encode(name, _ERRORS).decode(name)


def spell_on_standard_streams() -> None:
    """Let standard output and standard error spell what their encodings lack, whatever writes to them."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors=_ERRORS)


def _handler(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_ascii, error.object[error.start : error.end])), error.end


def _ascii(letter: str) -> str:
    """The nearest spelling in ASCII; the code of a letter that has none."""
    if letter in _SPELT:
        return _SPELT[letter]
    name = unicodedata.name(letter, "").split()
    if name[:1] == ["GREEK"] and "LETTER" in name:
        word = name[name.index("LETTER") + 1].replace("LAMDA", "LAMBDA")
        return word.capitalize() if name[1] == "CAPITAL" else word.lower()
    marks = str.maketrans({"\u0302": "^", "\u2044": "/"})  # a hat, and the bar of a fraction
    plain = unicodedata.normalize("NFKD", letter).translate(marks).encode("ascii", "ignore").decode()
    raised = {"<super>": "^", "<sub>": "_"}.get(unicodedata.decomposition(letter).split(" ")[0], "")
    return raised + plain if plain else letter.encode("ascii", "backslashreplace").decode()


codecs.register_error(_ERRORS, _handler)
