"""Texts of others on a page."""

from pages.parts.markdown import WORD_JOINER, brief, plain


def test_nothing_in_a_text_acts_on_the_page():
    assert plain("a\nb  c\u2028d") == "a b c d"
    assert plain("*a* [b](c)") == r"\*a\* \[b\]\(c\)"
    assert plain("x\u202eabc\udce9\x1b[m") == r"x\\u202eabc\\udce9\\x1b\[m"
    assert plain(":smile:") == rf"\:{WORD_JOINER}smile\:"


def test_a_brief_text_shows_both_ends():
    assert brief("a" * 200) == "a" * 200
    assert brief("a" * 1000 + "b" * 1000) == f"{'a' * 100} … {'b' * 100}"
