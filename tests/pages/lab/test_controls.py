"""What others say, as text that shows as it is."""

import pytest

from pages.parts.markdown import WORD_JOINER, plain


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("[here](x)", r"\[here\]\(x\)"),
        ("*a* _b_ `c` $d$ <e> ~f~ {g|h} i^j", r"\*a\* \_b\_ \`c\` \$d\$ \<e\> \~f\~ \{g\|h\} i\^j"),
        ("a\n\n# b", r"a \# b"),
        ("1.5, -2", r"1.5, \-2"),
        # a backslash before what is not ASCII would be shown
        ("‖g*‖ at 3° – λ", r"‖g\*‖ at 3° – λ"),
        ("http://e.vil", rf"http\:{WORD_JOINER}\/\/e.vil"),
        ("www.e.vil", f"www{WORD_JOINER}.e.vil"),
        (":star:", rf"\:{WORD_JOINER}star\:"),
    ],
)
def test_plain_text_is_no_markdown(said, shown):
    assert plain(said) == shown
