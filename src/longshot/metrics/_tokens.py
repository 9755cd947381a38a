"""Captions as words: the Penn Treebank words that the caption metrics of the COCO challenge count, in pure Python.

    words("The man's dog isn't here (again).")
    -> ["the", "man", "'s", "dog", "is", "n't", "here", "-lrb-", "again", "-rrb-"]

What is reproduced is the behaviour of the Java tokenizer of CoreNLP 3.4.1 with its options for kept lines and lower
case, followed by the removal of MARKS, as the package pycocoevalcap 1.2 does it: at each place the longest token wins,
and among equally long ones the one named first below. Lower case comes last, so that "Miss." and "miss." differ. Where
a rule of that tokenizer only decides about a mark that is removed afterwards (which way a quote opens, whether the stop
after "etc." is said twice), there is no rule here.

A caption is first written in a small alphabet, one letter for each kind of character, so that the rules stay short:

    é  a letter beyond ASCII            ٠  a digit beyond ASCII        §  a symbol that is a token of its own
    ̀  a mark that lengthens a word     _  (U+2000) a wide space       \ufffd  a character that is left out

Each caption is read on its own. Source: Marcus, Santorini and Marcinkiewicz 1993 for the conventions; the edges were
measured (`tests/test_metrics_captions.py`, `docs/metrics-captions.md`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache

MARKS = frozenset(
    ["''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-", ".", "?", "!", ",", ":", "-", "--", "...", ";"]
)
"""Tokens that are not counted. The brackets stand in upper case and the tokens in lower, so brackets are counted."""

LETTER, EXTENDER, DIGIT, SYMBOL, WIDE, NOTHING = "é", "\u0300", "٠", "§", "\u2000", "\ufffd"
_RAISED = "⁺⁻₊₋⁰¹²³⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉"
_ITSELF = (
    _RAISED
    + "¢£¤¥€₠¼½¾⅓⅔⁄…–—―‘’‚‛“”„‟‹›«»"
    + "\xa0\xad\u058a\u2010\u2011\u066b\u066c"
    + "\x80\x85\x91\x92\x93\x94\x96\x97"  # Windows' own places of the euro, dots, quotes and dashes
)


def _ranges(text: str) -> frozenset[int]:
    """Code points from "2c2-2c5 2ed"."""
    found: set[int] = set()
    for part in text.split():
        first, _, last = part.partition("-")
        found.update(range(int(first, 16), int(last or first, 16) + 1))
    return frozenset(found)


# Letters of today's Unicode that are none in the version (6.x) that the tokenizer was made with.
_LATER_LETTERS = _ranges(
    "37f 528-52f 560 588 5ef 860-86a 870-887 889-88e 8a1 8ad-8c9 978 980 9fc af9 c34 c5a c5d c80 cdd d04"
    " d54-d56 d5f e86 e89 e8c e8e-e93 e98 ea0 ea8-ea9 eac 13f5 13f8-13fd 16f1-16f8 170d 171f 1878"
    " 191d-191e 19b0-19c0 19c8-19c9 1b4c 1c80-1c88 1c90-1cba 1cbd-1cbf 1cf2-1cf3 1cfa 2c2f 2c5f 312e-312f"
    " 31bb-31bf 4db6-4dbf 9fcd-9fff a698-a69d a78f a794-a79f a7ab-a7ca a7d0-a7d1 a7d3 a7d5-a7d9 a7f2-a7f7"
    " a8fd-a8fe a9e0-a9e4 a9e6-a9ef a9fa-a9fe aa7e-aa7f ab30-ab5a ab5c-ab69 ab70-abbf"
)
_LATER_DIGITS = _ranges("de6-def a9f0-a9f9")
_EXTENDERS = _ranges(
    "2c2-2c5 2d2-2df 2e5-2eb 2ed 2ef-36f 375 378-379 384-385 3f6 483-487 55a-55f 591-5bd 5bf 5c1-5c2"
    " 5c4-5c5 5c7 615-61a 64b-65e 670 6d6-6e4 6e7-6ed 6fd-6fe 70f 711 730-74c 7a6-7b0 7eb-7f3 900-903 93c"
    " 93e-94e 951-955 962-963 981-983 9bc 9be-9c4 9c7-9c8 9cb-9cd 9d7 9e2-9e3 a01-a03 a3c a3e-a4f a81-a83"
    " abc abe-acf b82 bbe-bc2 bc6-bc8 bca-bcd c01-c03 c3e-c56 d3e-d44 d46-d48 e31 e34-e3a e47-e4e eb1"
    " eb4-ebc ec8-ecd"
)
_SYMBOLS = _ranges(
    "a1 a5-a9 ac ae-b4 b6-b9 bf d7 f7 37e 387 589 5be 5c0 5c3 5c6 5f3-5f4 600-603 606-60c 614 61b 61e-61f"
    " 66a 66d 6d4 700-70d 7f6-7f8 964-965 e3f e4f 1fbd 2016-2017 201a 201e-2023 2030-2038 203b 203e-2042"
    " 2044 2070 2074-207e 2080-208e 20a4 2100-2101 2103-2106 2108-2109 2114 2116-2118 211e-2123 2125 2127"
    " 2129 212e 213a-213b 2140-2144 214a-214d 214f 2155-215e 2190-2bff 3001-3002 3012 30fb ff01-ff0f"
    " ff1a-ff20 ff3b-ff40 ff5b-ff65 ffe0-ffe1 ffe5-ffe6"
)
_WIDE_SPACES = _ranges("2000-200a 3000")
_LINE_ENDS = "\n\r\x0b\x0c\u2028\u2029"


@lru_cache(maxsize=4096)
def _kind(character: str) -> str:
    """The letter of the small alphabet that a character beyond ASCII, or a control character, is written as."""
    point = ord(character)
    if character in _LINE_ENDS:
        return "\n"
    if character in _ITSELF or character == "\t":
        return character
    if point in _SYMBOLS:
        return SYMBOL
    if point in _EXTENDERS:
        return EXTENDER
    if point in _WIDE_SPACES:
        return WIDE
    category = unicodedata.category(character)
    if point > 0xFFFF or point < 0x80 or point in _LATER_LETTERS or point in _LATER_DIGITS:
        return NOTHING
    if category[0] == "L" or point in (0x1885, 0x1886):
        return LETTER
    return DIGIT if category == "Nd" else NOTHING


_BEYOND = re.compile(r"[^ -~]")


def _written(text: str) -> str:
    """The caption in the small alphabet: as many characters as before."""
    if text.isascii() and text.isprintable():
        return text
    return _BEYOND.sub(lambda match: _kind(match[0]), text)


# Pieces of the rules, over the small alphabet.
_LETTERS = r"A-Za-z\xe9"
_DIGITS = r"0-9\u0660"
_ACCENTED = r"&[aeiouAEIOU](?i:acute|grave|uml);"
_WORDLY = rf"(?:[{_LETTERS}\u0300\xad]|{_ACCENTED})"
_WORDLY_OR_DIGIT = rf"(?:[{_LETTERS}\u0300\xad{_DIGITS}]|{_ACCENTED})"
_WORD = rf"{_WORDLY}{_WORDLY_OR_DIGIT}*(?:[.!?]{_WORDLY}{_WORDLY_OR_DIGIT}*)*"
_APOSTROPHE = r"(?:['\x92\u2019]|(?i:&apos;))"
_ANY_APOSTROPHE = r"(?:['\x92\u2019`\x91\u2018\u201b]|(?i:&apos;))"
_SPACE = r"[ \t\xa0\u2000]"
_SPACE_OR_END = r"[ \t\xa0\u2000\n\x85]"
_NUMBER = rf"(?:[{_DIGITS}]*(?:[.:,\xad\u066b\u066c][{_DIGITS}]+)+|[{_DIGITS}]+)"
_HYPHEN = r"[-_\u058a\u2010\u2011]"
_ALNUM = rf"[{_LETTERS}{_DIGITS}]"
_ELIDED = rf"(?:[dDoOlL]{_ANY_APOSTROPHE}{_ALNUM})?"
_ENDING = r"(?:[msdMSD]|(?i:re|ve|ll))"
_NATIONS = r"(?i:(?:canada|sino|korean|eu|japan|non)-u\.s|u\.s\.-(?:u\.k|u\.s\.s\.r))"
_INITIALS = rf"(?:{_NATIONS}|[A-Za-z](?:\.[A-Za-z])+)"


def _either(names: str) -> str:
    """Any of these in whatever case, the longer first."""
    return "(?i:" + "|".join(sorted(names.split(), key=len, reverse=True)) + ")"


# With their stop one word, unless the next two characters make a longer token.
_SHORTENED = (
    _either(
        "jan feb mar apr jun jul aug sep sept oct nov dec mon tue tues wed thu thurs fri ala ariz calif"
        " colo conn ct dak fla ga ind kan kans ky ltd md mich minn mo mont neb nev okla penn tenn va vt"
        " wis wisc wyo inc co cos corp plc rt bancorp bhd assn univ intl sys tel est ext sq jr sr bros"
        " ed\\.d ph\\.d blvd rd esq etc al seq bldg"
    )
    + "|A(?i:z|rk)|D(?i:el)|I(?i:ll)|L(?i:a)|M(?i:ass|iss)|O(?i:re)|P(?i:a)|T(?i:ex)|W(?i:ash)|(?i:pp?t)[ye](?i:s?)"
)
# With their stop one word.
_TITLES = (
    _either(
        "mr mrs ms dr drs prof profs sen sens rep reps atty attys lt col gen messrs gov govs adm rev maj"
        " sgt cpl pvt mt capt st ste ave pres lieut hon brig cmdr comdr pfc spc supt supts det ft adj adv"
        " asst assoc ens insp mlle mme msgr sfc vs alex wm jos cie cf treas ph invt elec natl dept"
    )
    + "|M(?i:iss)|(?i:m)[ft](?i:g)"
)
# With their stop one word before a number only.
_BEFORE_NUMBERS = r"(?i:ca|figs?|prop|nos?|art|op|pp)"
# After these an initial gives its stop back: "plan B. The".
_OPENERS = (
    "About According Additionally After An A As At But Earlier He Her Here However If In It Last Many"
    " More Now Once One Other Our She Since So Some Such That The Then There These They This We When While"
    " What Yet You"
)
_OPENER = "(?:" + "|".join(f"{w[0]}(?i:{w[1:]})" for w in _OPENERS.split()) + r"|M(?i:r\.)|M(?i:s\.))"

_ELISIONS = "|".join(
    [
        rf"{_APOSTROPHE}(?i:n){_APOSTROPHE}?",
        rf"[lLdDjJ]{_APOSTROPHE}",
        rf"(?i:dunkin|somethin|ol){_APOSTROPHE}",
        rf"{_APOSTROPHE}(?i:em|till?|cause)",
        rf"[A-HJ-XZn]{_ANY_APOSTROPHE}[{_LETTERS}]{{2,}}",
        rf"{_APOSTROPHE}[2-9]0(?i:s)",
        rf"[{_LETTERS}]+[aeiouyAEIOUY]{_ANY_APOSTROPHE}[aeiouA-Z][{_LETTERS}]*",
        r"(?i:cont'd\.?|nor'easter|c'mon|e'er|s'mores|ev'ry|li'l|nat'l)",
    ]
)
_NAME = r"[A-Za-z][A-Za-z0-9_:.\-]*"
_TAG = rf"<(?:[!?][A-Za-z\-][^>\n]*|/{_NAME} *|{_NAME}(?: +{_NAME}(?: *= *(?:'[^'\n]*'|\"[^\"\n]*\"))?)* */? *)>"
_FILE = (
    rf"{_WORDLY_OR_DIGIT}+(?:\.{_WORDLY_OR_DIGIT}+)*\.(?i:bat|bmp|c|class|cgi|cpp|dll|docx?|exe|gif|gz|h|html?|jar|java|jpe?g|mov|mp3|pdf|php"
    r"|pl|png|ppt|ps|py|sql|tar|txt|wav|x|xml|zip)"
)
_PHONE = (
    r"(?:(?:\([0-9]{2,3}\)[ \xa0]?|(?:\+\+?)?(?:[0-9]{2,4}[- \xa0])?[0-9]{2,4}[- \xa0])[0-9]{3,4}[- \xa0]?[0-9]{3,5}"
    r"|(?:(?:\+\+?)?[0-9]{2,4}\.)?[0-9]{2,4}\.[0-9]{3,4}\.[0-9]{3,5})"
)
_FRACTION = rf"(?:[{_DIGITS}]{{1,4}}[- \xa0])?[{_DIGITS}]{{1,4}}(?:\\?/|\u2044)[{_DIGITS}]{{1,4}}"
_HYPHENATED = rf"[A-Za-z0-9][A-Za-z0-9.,\xad]*(?:-(?:{_INITIALS}\.|[A-Za-z0-9\xad]+))+"
_SLASHED = r"[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}(?:\\?/[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}){1,2}"
_THING = rf"{_ELIDED}{_ALNUM}+(?:{_HYPHEN}{_ELIDED}{_ALNUM}+)*"
_FIRM = r"[A-Z]+(?:(?:[+&]|(?i:&amp;))[A-Z]+)+"
_INNER = r"[,;:\u3001]"
_WEB = r"(?i:https?)://[^ \t\n\"<>|(){}\x85]+[^ \t\n\"<>|.!?(){},\-\x85]"
_WEB_LIKE = (
    r"(?:(?i:www)\.(?:[^ \t\n\"<>|.!?(){},\x85]+\.)+[a-zA-Z]{2,4}"
    r"|(?:[^ \t\n\"`'<>|.!?(){},-_$\x85]+\.)+(?i:com|net|org|edu))"
)
_WEB_PATH = r"/[^ \t\n\"<>|()\x85]+[^ \t\n\"<>|.!?(){},\-\x85]"
_MAIL = (
    r"(?:(?i:&lt;)|<)?[a-zA-Z0-9][^ \t\n\"<>|()\xa0{}]*@(?:[^ \t\n\"<>|(){}.\xa0]+\.)*[^ \t\n\"<>|(){}.\xa0]+"
    r"(?:(?i:&gt;)|>)?"
)
_QUOTE = r"(?:''|'|[`‘’‚‛“”„‟‹›«»\x91\x92\x93\x94]{1,2}|(?i:&apos;))"
_FACE = r"[<>]?[:;=][-o*']?[()DPdpO\\{@|\[\]]"
_EAST_FACE = (
    r"(?:[\^x=~<>]\.\[\^x=~<>]|[-\^x=~<>']_[-\^x=~<>']|\([-\^x=~<>'][_.]?[-\^x=~<>']\)|\([\^x=~<>']-[\^x=~<>'`]\))"
)

_QUOTES = str.maketrans(
    {
        **dict.fromkeys("\x91\u2018\u201b\u2039", "`"),
        **dict.fromkeys("\x92\u2019\u203a", "'"),
        **dict.fromkeys("\x93\u201c\xab", "``"),
        **dict.fromkeys('\x94\u201d\xbb"', "''"),
    }
)
_BRACKETS = str.maketrans({"(": "-LRB-", ")": "-RRB-", " ": "\xa0"})


def _as_is(token: str) -> str:
    return token


def _without_soft_hyphens(token: str) -> str:
    return token.replace("\xad", "") or "-"


def _plain_quotes(token: str) -> str:
    return re.sub("&apos;", "'", re.sub("&quot;", "''", token)).translate(_QUOTES)


def _plain_ampersand(token: str) -> str:
    return re.sub("(?i:&amp;)", "&", token)


def _spaced(token: str) -> str:
    return token.replace(" ", "\xa0")


def _bracketed(token: str) -> str:
    return token.translate(_BRACKETS)


def _constant(value: str) -> Callable[[str], str]:
    return lambda token: value


_CENTS = {"\xa2": "cents", "\xa3": "#", "\x80": "$", "\xa4": "$", "\u20a0": "$", "\u20ac": "$"}
_PARTS = {"\xbc": "1/4", "\xbd": "1/2", "\xbe": "3/4", "\u2153": "1/3", "\u2154": "2/3"}
_SQUARE = {"[": "-LSB-", "]": "-RSB-", "{": "-LCB-", "}": "-RCB-", "(": "-LRB-", ")": "-RRB-"}

# What a token looks like (group 1; what follows it must follow in the text and counts for "longest"), how it is
# written down, and the characters that it may start with ("" for any). Order decides between equally long ones.
_ASCII_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_NUMERALS = "0123456789" + DIGIT
_LETTER_STARTS = _ASCII_LETTERS + LETTER
_WORD_STARTS = _LETTER_STARTS + EXTENDER + "\xad&"
_APOSTROPHES = "'\x92\u2019&"
_ALL_APOSTROPHES = _APOSTROPHES + "`\x91\u2018\u201b"
_QUOTE_STARTS = _ALL_APOSTROPHES + "\u201a\u201c\u201d\x93\x94\u201e\u201f\u2039\u203a\xab\xbb"
_RULES: tuple[tuple[str, Callable[[str], str], str], ...] = (
    (r"((?i:c\+\+|[cf]#))", _as_is, "cCfF"),
    (r"((?i:can))(?i:not)", _as_is, "cC"),
    (r"('[tT])(?i:was)", _as_is, "'"),
    (r"('[tT])(?i:is)", _as_is, "'"),
    (r"((?i:gon|wan))(?i:na)", _as_is, "gGwW"),
    (r"((?i:got))(?i:ta)", _as_is, "gG"),
    (r"((?i:lem|gim))(?i:me)", _as_is, "lLgG"),
    (rf"({_TAG})", _spaced, "<"),
    (r"((?i:&(?:md|mdash|ndash);)|[\x96\x97\u2013-\u2015])", _constant("--"), "&\x96\x97\u2013\u2014\u2015"),
    (r"((?i:&amp;))", _plain_ampersand, "&"),
    (r"((?i:&nbsp;))", _constant(""), "&"),
    (r"((?i:&(?:ht|tl|ur|lr|qc|ql|qr|odq|cdq|#[0-9]+);))", _as_is, "&"),
    (rf"({_WORD}){_APOSTROPHE}{_ENDING}", _without_soft_hyphens, _WORD_STARTS),
    (rf"([A-Za-z\xad]*[A-MO-Za-mo-z]\xad*)[nN]{_ANY_APOSTROPHE}[tT]", _without_soft_hyphens, _ASCII_LETTERS + "\xad"),
    (rf"({_WORD})", _without_soft_hyphens, _WORD_STARTS),
    (rf"({_ELISIONS})", _as_is, _LETTER_STARTS + _APOSTROPHES),
    (rf"([yY]{_APOSTROPHE})[{_LETTERS}]", _as_is, "yY"),
    (rf"({_WEB})", _as_is, "hH"),
    (rf"({_WEB_LIKE})", _as_is, ""),
    (rf"({_WEB_LIKE}{_WEB_PATH})", _as_is, ""),
    (rf"({_MAIL})", _as_is, _ASCII_LETTERS + _NUMERALS + "<&"),
    (rf"(@[a-zA-Z_][a-zA-Z_0-9]*|#{_WORDLY}+)", _as_is, "@#"),
    (rf"({_APOSTROPHE}{_ENDING})[^A-Za-z]", _plain_quotes, _APOSTROPHES),
    (rf"([nN]{_ANY_APOSTROPHE}[tT])[^A-Za-z]", _plain_quotes, "nN"),
    (rf"([{_DIGITS}]{{1,2}}[-/][{_DIGITS}]{{1,2}}[-/][{_DIGITS}]{{2,4}})", _as_is, _NUMERALS),
    (rf"([-+]?{_NUMBER})", _without_soft_hyphens, _NUMERALS + "-+.:,\xad\u066b\u066c"),
    (
        r"([\u207a\u207b\u208a\u208b]?(?:[\u2070\xb9\xb2\xb3\u2074-\u2079]+|[\u2080-\u2089]+))",
        _as_is,
        _RAISED,
    ),
    (rf"({_FRACTION})", _spaced, _NUMERALS),
    (r"([\xbc-\xbe\u2153\u2154])", lambda token: _PARTS[token], "".join(_PARTS)),
    (
        rf"((?i:-(?:rrb|lrb|rcb|lcb|rsb|lsb)-|c\.d\.s|pro-|anti-|s(?:&|&amp;)p-500|s(?:&|&amp;)ls"
        rf"|cap{_APOSTROPHE}n|c{_APOSTROPHE}est))",
        _plain_ampersand,
        "-cCpPaAsS",
    ),
    (rf"({_SLASHED})", _as_is, _ASCII_LETTERS + _NUMERALS),
    (r"([A-Z]*\$|\#)", _as_is, _ASCII_LETTERS + "$#"),
    (r"([\xa2-\xa5\x80\u20a0\u20ac])", lambda token: _CENTS.get(token, token), "\xa2\xa3\xa4\xa5\x80\u20a0\u20ac"),
    (rf"([A-Za-z])\.{_SPACE_OR_END}+(?:{_OPENER}|{_TAG}){_SPACE_OR_END}", _as_is, _ASCII_LETTERS),
    (rf"({_BEFORE_NUMBERS}\.){_SPACE_OR_END}?[{_DIGITS}]", _as_is, _ASCII_LETTERS),
    (rf"((?i:so|no)\.){_SPACE_OR_END}+(?i:africa|korea|cal)", _as_is, "sSnN"),
    (rf"((?:{_SHORTENED})\.)[\s\S]{{0,2}}", _as_is, _ASCII_LETTERS),
    (rf"((?:{_TITLES})\.)", _as_is, _ASCII_LETTERS),
    (rf"((?:{_INITIALS}|[A-Za-z]|(?i:a\.k\.a))\.)", _as_is, _ASCII_LETTERS),
    (rf"({_INITIALS}){_SPACE_OR_END}", _as_is, _ASCII_LETTERS),
    (rf"({_APOSTROPHE}[0-9][0-9]){_SPACE_OR_END}", _as_is, _APOSTROPHES),
    (rf"({_FILE})(?:{_SPACE_OR_END}|[.?!,])", _as_is, _WORD_STARTS + _NUMERALS),
    (rf"({_WORD}\.){_INNER}", _without_soft_hyphens, _WORD_STARTS),
    (rf"({_PHONE})", _bracketed, _NUMERALS + "(+"),
    (r"((?i:&quot;)|\")", _constant("''"), '&"'),
    (r"((?i:&lt;))", _constant("<"), "&"),
    (r"((?i:&gt;))", _constant(">"), "&"),
    (rf"({_FACE})[^A-Za-z0-9]", _bracketed, "<>:;="),
    (rf"({_EAST_FACE})", _bracketed, "^x=~<>-'("),
    (r"([\[\]{}()])", lambda token: _SQUARE[token], "[]{}()"),
    (r"(-+)", lambda token: "--" if len(token) in (3, 4) else token, "-"),
    (r"(\.{3,5}|[\x85\u2026])", _constant("..."), ".\x85\u2026"),
    (r"(@+|_+|\#+)", _as_is, "@_#"),
    (r"(\*+|(?:\\\*){1,3})", _as_is, "*\\"),
    (r"([?!]+)", _as_is, "?!"),
    (r"([,;:.=/<>])", _as_is, ",;:.=/<>"),
    (rf"({_HYPHENATED}\.){_INNER}", _without_soft_hyphens, _ASCII_LETTERS + _NUMERALS),
    (rf"({_HYPHENATED})", _without_soft_hyphens, _ASCII_LETTERS + _NUMERALS),
    (rf"({_THING}\.){_INNER}", _as_is, _LETTER_STARTS + _NUMERALS),
    (rf"({_THING})", _as_is, _LETTER_STARTS + _NUMERALS),
    (rf"({_FIRM}\.){_INNER}", _plain_ampersand, _ASCII_LETTERS),
    (rf"({_FIRM})", _plain_ampersand, _ASCII_LETTERS),
    (r"(')[A-Za-z][^ \t\n\xa0]", _as_is, "'"),
    (rf"({_APOSTROPHE}{_ENDING})", _plain_quotes, _APOSTROPHES),
    (rf"({_QUOTE})", _plain_quotes, _QUOTE_STARTS),
    (r"(<<|>>)", _as_is, "<>"),
    (r"([+%&~^|\\\u00a7\u2044\u207a-\u207b\u208a\u208b])", _as_is, "+%&~^|\\\u00a7\u2044\u207a\u207b\u208a\u208b"),
)

_Rule = tuple[Callable[[str, int], "re.Match[str] | None"], Callable[[str], str]]


@lru_cache(maxsize=1024)
def _rules(start: str) -> tuple[_Rule, ...]:
    """The rules of tokens that may begin with this letter of the small alphabet, in order."""
    return tuple(
        (re.compile(pattern).match, write) for pattern, write, starts in _RULES if not starts or start in starts
    )


def _next(text: str, written: str, place: int) -> tuple[str, int]:
    """The token that begins at `place`, and where it ends; "" where a character is left out."""
    longest, end = 0, 0
    write: Callable[[str], str] = _as_is
    for match_at, how in _rules(written[place]):
        match = match_at(written, place)
        if match is not None and match.end() > longest:
            longest, end, write = match.end(), match.end(1), how
    return (write(text[place:end]), end) if longest else ("", place + 1)


# Java's characters are halves of those beyond U+FFFF, and where a rule counts characters it counts halves.
_ASTRAL, _HALVED = re.compile("[\U00010000-\U0010ffff]"), re.compile("[\ud800-\udfff]")


def _halves(match: re.Match[str]) -> str:
    point = ord(match[0]) - 0x10000
    return chr(0xD800 + (point >> 10)) + chr(0xDC00 + (point & 0x3FF))


# What follows a piece without spaces can change how it is read: a tag or a telephone number goes on, "fig." wants a
# number, an initial looks at the next word. All other pieces are read once and remembered.
_UNSETTLED = re.compile(rf"[<{_DIGITS}\xa0\u2000\t]|\b(?:[A-Za-z]|{_BEFORE_NUMBERS}|(?i:so))\.$")
# Nearly every piece is one word with perhaps a mark after it. Some look so and are two words, or keep their stop.
_PLAIN = re.compile(r"([A-Za-z]+)(?:[,;.!?\"]|\.\.\.)?")
_NOT_PLAIN = re.compile(rf"(?i:cannot|gonna|gotta|wanna|lemme|gimme|so|[a-z])|{_BEFORE_NUMBERS}|{_SHORTENED}|{_TITLES}")
_GAPS = " \n"
_GAP = re.compile(rf"\n|{_SPACE}+")


def _after_gap(written: str, place: int) -> int:
    gap = _GAP.match(written, place)
    return place + 1 if gap is None else gap.end()


class Reader:
    """Reads captions, and remembers the pieces between spaces that always read alike."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, ...] | None] = {}

    def piece(self, piece: str) -> tuple[str, ...] | None:
        """The words of a piece without spaces; None if they depend on what follows."""
        if piece not in self._known:
            self._known[piece] = self._fresh(piece)
        return self._known[piece]

    def _fresh(self, piece: str) -> tuple[str, ...] | None:
        plain = _PLAIN.fullmatch(piece)
        if plain is not None and _NOT_PLAIN.fullmatch(plain[1]) is None:
            return (plain[1].lower(),)
        text = _ASTRAL.sub(_halves, piece)
        written = _written(text)
        if _UNSETTLED.search(written):
            return None
        return tuple(_read(text + "\n", written + "\n", 0, len(text))[0])

    def words(self, caption: str) -> list[str]:
        """The words of one caption, marks left out."""
        caption = _ASTRAL.sub(_halves, caption)
        text = caption + "\n"  # Whatever looks for what follows finds the end of a line.
        written = _written(text)
        found: list[str] = []
        place, last = 0, len(caption)
        while place < last:
            if written[place] in _GAPS:
                place = _after_gap(written, place)
                continue
            end = place
            while written[end] not in _GAPS:
                end += 1
            known = self.piece(text[place:end])
            if known is None:
                more, place = _read(text, written, place, end)
                found += more
            else:
                found += known
                place = end
        if found and caption[-1].isspace():
            found[-1] = found[-1].rstrip()  # "http://a.b\xa0" is cut with its line
        return found


def _read(text: str, written: str, place: int, until: int) -> tuple[list[str], int]:
    """The words from `place` to `until` or, where a token goes over it, to the next gap; and where that is."""
    found = []
    while place < until or written[place] not in _GAPS:
        token, place = _next(text, written, place)
        # Lower case after, not before: some rules look at capitals.
        if _HALVED.search(token):
            token = token.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        token = token.lower()
        if token and token not in MARKS:
            found.append(token)
    return found, place


def words(caption: str) -> list[str]:
    """The words of one caption. A word can hold U+00A0: "5 1/2" is one."""
    return Reader().words(caption)
