"""Language tags as media files write them: "en", "eng", "en-US" and "English" are one language.

code("eng"), code("pt-BR"), code("German"), code("part2")     # "en", "pt", "de", ""
same("en-GB", "eng")                                          # True
"""

from __future__ import annotations

# Two letters, the three-letter codes (bibliographic and terminological), the English name.
_TABLE = """
ar ara arabic|bg bul bulgarian|bn ben bengali|ca cat catalan|cs cze ces czech|da dan danish|de ger deu german
el gre ell greek|en eng english|es spa spanish|et est estonian|eu baq eus basque|fa per fas persian|fi fin finnish
fr fre fra french|gl glg galician|he heb hebrew|hi hin hindi|hr hrv croatian|hu hun hungarian|id ind indonesian
is ice isl icelandic|it ita italian|ja jpn japanese|ko kor korean|lt lit lithuanian|lv lav latvian
mk mac mkd macedonian|ms may msa malay|nb nob bokmal|nl dut nld dutch|nn nno nynorsk|no nor norwegian|pl pol polish
pt por portuguese|ro rum ron romanian|ru rus russian|sk slo slk slovak|sl slv slovenian|sq alb sqi albanian
sr srp serbian|sv swe swedish|sw swa swahili|ta tam tamil|te tel telugu|th tha thai|tl tgl tagalog|tr tur turkish
uk ukr ukrainian|ur urd urdu|vi vie vietnamese|zh chi zho chinese
"""
_CODES = {
    spelling: words[0]
    for words in (entry.split() for line in _TABLE.split("\n") for entry in line.split("|"))
    for spelling in words
}
_UNSAID = {"", "und", "unk", "mis", "mul", "zxx", "xx", "qaa"}


def code(tag: str) -> str:
    """The two-letter code of a tag or an English name, region and script left off; "" for what is no language."""
    return _CODES.get(tag.strip().casefold().replace("_", "-").split("-")[0], "")


def same(one: str, other: str) -> bool:
    """Whether two tags name one language. Tags outside the table are compared as they are; unsaid ones never agree."""
    first, second = (tag.strip().casefold() for tag in (one, other))
    if first in _UNSAID or second in _UNSAID:
        return False
    known = code(first)
    return known == code(second) if known else first.split("-")[0] == second.split("-")[0]


def unsaid(tag: str) -> bool:
    """Whether a stream's tag leaves its language open ("", "und")."""
    return tag.strip().casefold() in _UNSAID


def known(tag: str) -> bool:
    """Whether a tag can be meant as a language: one of the table, or two or three letters with any region."""
    head = tag.strip().replace("_", "-").split("-")[0]
    return bool(code(tag)) or (head.isascii() and head.isalpha() and len(head) in (2, 3) and not unsaid(head))
