"""How a phase diagram is read: its colours, marks and lines."""

import streamlit as st

from samedge_core.sweeps.fate import CHANCE, FLIPPING
from samedge_core.training.diagnosis import NEAR

FATES = {  # the mark of each, and when it is a cell's fate
    "at its edge": (
        "no mark",
        "in the second half of the run, sharpness / edge (under Adam and RMSProp, edge value / "
        f"threshold) is within {100 * NEAR:.0f} % of 1 (median), and at least "
        f"{100 * FLIPPING:.0f} % of the steps hop across the valley",
    ),
    "below its edge": ("╱", "lower than that, or as near to 1 but with fewer hops"),
    "above its edge": ("╲", f"the median of that ratio is above {1 + NEAR:.2g}"),
    "diverged": ("╳", "the loss has left the finite range, or grown to 10⁸ times its start"),
    "dead": ("○", f"its accuracy is at most {CHANCE:g} times that of guessing"),
    "converged": ("—", "its gradient has vanished"),
    "failed": ("│", "it could not be computed"),
}
_LINES = (
    "**Lines** are what theory says before the first step, where the sharpness is λ₀. Dotted: "
    "ηλ₀ = 2; to the right of it even gradient descent begins with too long a step. Dashed: λ₀ is "
    "on the edge of the rule itself. Training then moves the sharpness, so that runs on both sides "
    "of a line can end at their edge."
)
_PREDICTED = (
    "**Predicted fate** draws solid lines between the fates that a flow says, and a ◯ around the "
    "mark of a run that has ended otherwise."
)
_DOING = (
    "**A cell**: click it, tap it, or go there with the arrow keys and press Enter. **A part**: "
    "drag over it, or hold Shift with the arrow keys."
)


def draw() -> None:
    """The button that explains the picture."""
    with st.popover(
        "How to read it",
        icon=":material/help:",
        key="sweeps:reading",
        help="What the colours, marks and lines say, and what one can do.",
    ):
        st.markdown("**Colour** is the measured quantity; **marks** tell how each run has ended:")
        st.markdown(
            "\n".join(f"- {mark} **{name}**: {when}" for name, (mark, when) in FATES.items())
        )
        st.markdown(_LINES)
        st.markdown(_PREDICTED)
        st.markdown(_DOING)
