"""What differs between the compared runs, and what does not."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from pages.parts.runs.records import Compared
from samedge_core.analysis import compare
from samedge_core.fields import Field

CHANGES = "Changes on the way"


def draw(runs: Sequence[Compared]) -> None:
    """A row a run, a column for each setting whose values are not all equal, at the start → at the
    end; the rest folded."""
    configs = [one.config for one in runs]
    fields = compare.settings_of(configs)
    different = compare.differing(configs, [one.end for one in runs])
    made = [_changes(one) for one in runs]
    # first: it says why other columns hold two values, and must not be scrolled out of sight
    columns = {CHANGES: [text or "none" for text in made]} if any(made) else {}
    columns |= {label(fields[name]): [one.text(fields[name]) for one in runs] for name in different}
    if columns:
        names = pd.Index([one.name for one in runs], name="Run")
        wide = {"Run": st.column_config.TextColumn(width=250)}
        st.dataframe(pd.DataFrame(columns, index=names), key="runs:different", column_config=wide)
    else:
        st.caption(_nothing(runs))
    equal = {
        label(field): runs[0].text(field) for name, field in fields.items() if name not in different
    }
    title = "Settings that are the same" if len(runs) > 1 else "All settings"
    with st.expander(f"{title} ({len(equal)})", key="runs:equal"):
        st.dataframe(
            pd.DataFrame({"Setting": list(equal), "Value": list(equal.values())}),
            hide_index=True,
            key="runs:same",
        )


def _nothing(runs: Sequence[Compared]) -> str:
    if len(runs) == 1:
        return "Select more runs to see what differs."
    return "Nothing: these runs have the same settings, seeds included."


def label(field: Field) -> str:
    """A setting with its unit."""
    return f"{field.label} ({field.unit})" if field.unit else field.label


def _changes(one: Compared) -> str:
    # a damaged record has none to show; the charts say what is wrong with it
    unknown = "?" if one.entry.interventions else ""
    return compare.interventions_in_words(one.interventions) or unknown
