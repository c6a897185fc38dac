"""The search box and the filters over the table, as a Query."""

from collections.abc import Mapping
from typing import TypeVar

import streamlit as st

from pages.parts.runs import source
from pages.parts.runs.columns import COLUMNS, FIRST
from samedge_core.problems.registry import PROBLEMS
from samedge_core.store import Query
from samedge_core.store.catalogue import Status
from samedge_core.store.texts import LONGEST_SEARCH, MOST_WORDS
from samedge_core.theory.rules import RULES

Name = TypeVar("Name", bound=str)

PAGE_ROWS = 50
PAGE = "runs:page"
SORT = "runs:sort"
SHOWN = "runs:columns"
STATUSES: Mapping[Status, str] = {
    "recording": "Recording now",
    "interrupted": "Interrupted",
    "ended": "Ended",
}
# what a first press on a column's head puts on top
_ASCENDING = ("problem", "rule", "title", "seed", "stop_reason", "deviation")


def draw(removed: int) -> Query:
    """Draw the boxes; `removed` is the number of runs that the quota took."""
    with st.container(key="runs-filters"):
        text, problem, rule, status, tags = st.columns([1.7, 1.4, 1, 1, 1.4])
    words = text.text_input(
        "Search",
        key="runs:text",
        type="search",
        live=True,
        on_change=to_first_page,
        placeholder="title, note, tag, id …",
        persist_state="session",
        help="Each word must occur in the title, the note, a tag, the problem or the rule, or be "
        f"the beginning of the id. At most {MOST_WORDS} words and {LONGEST_SEARCH} characters.",
        max_chars=LONGEST_SEARCH,
    )
    with problem:
        problems = {name: spec.title for name, spec in PROBLEMS.items()}
        chosen_problem = _choice("Problem", problems, "Only runs of this model and data.")
    with rule:
        rules = {name: rule.short for name, rule in RULES.items()}
        chosen_rule = _choice("Rule", rules, "Only runs with this update rule at the end.")
    with status:
        chosen_status = _choice("Status", STATUSES, "Interrupted: its server is gone.")
    known = source.opened().catalogue.known_tags()
    chosen_tags = tags.multiselect(
        "Tags",
        known,
        key="runs:tags",
        on_change=to_first_page,
        persist_state="session",
        placeholder="any" if known else "none in use",
        help="Only runs that have all of these.",
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        starred, pinned, with_removed = _switches(removed)
    sort, descending = order()
    return Query(
        text=words or "",
        problem=chosen_problem,
        rule=chosen_rule,
        status=chosen_status,
        tags=tuple(chosen_tags),
        starred=starred or None,
        pinned=pinned or None,
        removed=with_removed,
        sort=COLUMNS[sort].sort or "created",
        descending=descending,
        offset=(page() - 1) * PAGE_ROWS,
        limit=PAGE_ROWS,
    )


def _choice(label: str, titles: Mapping[Name, str], help: str) -> Name | None:
    return st.selectbox(
        label,
        list(titles),
        index=None,
        format_func=titles.__getitem__,
        key=f"runs:{label.lower()}",
        placeholder="any",
        on_change=to_first_page,
        help=help,
        persist_state="session",
    )


def _switches(removed: int) -> tuple[bool, bool, bool]:
    """Starred only, pinned only, removed ones too."""
    starred = _only("Starred", "starred", "Only starred runs.")
    pinned = _only("Pinned", "pinned", "Only pinned runs.")
    with_removed = bool(removed) and _only(
        f"Removed ({removed:,})",
        "removed",
        "List the runs, too, whose rows the quota took; only what the table says of them is left.",
    )
    with st.popover("Columns", icon=":material/view_column:", help="Which columns to show."):
        st.pills(
            "Columns",
            list(COLUMNS),
            default=list(FIRST),
            selection_mode="multi",
            key=SHOWN,
            format_func=lambda name: COLUMNS[name].title or COLUMNS[name].label,
            persist_state="session",
        )
    return starred, pinned, with_removed


def _only(label: str, name: str, help: str) -> bool:
    key = f"runs:{name}"
    return st.toggle(label, key=key, on_change=to_first_page, persist_state="session", help=help)


def shown_columns() -> list[str]:
    """The chosen columns, in their own order; the title always."""
    chosen = st.session_state.get(SHOWN, FIRST)
    return [name for name in COLUMNS if name in chosen or name == "title"]


def order() -> tuple[str, bool]:
    """The column that the table is sorted by, and whether the greatest come first."""
    return st.session_state.get(SORT, ("created", True))


def sort_by(column: str) -> None:
    """Sort by this column, or turn its order round."""
    if column not in COLUMNS or not COLUMNS[column].sort:
        return
    current, descending = order()
    turned = not descending if column == current else column not in _ASCENDING
    st.session_state[SORT] = (column, turned)
    to_first_page()


def page() -> int:
    """The page of the table, from 1."""
    return st.session_state.get(PAGE, 1)


def to_first_page() -> None:
    """Show the first page of the table: other runs are listed now."""
    st.session_state[PAGE] = 1


def draw_pages(total: int) -> None:
    """The number of runs, and buttons for the other pages of the table."""
    first = (page() - 1) * PAGE_ROWS
    count = f"{total:,} run{'s' if total != 1 else ''}"
    with st.container(horizontal=True, vertical_alignment="center"):
        if total > PAGE_ROWS:
            st.caption(
                f"{first + 1:,} to {min(total, first + PAGE_ROWS):,} of {count}", width="content"
            )
            st.pagination(-(-total // PAGE_ROWS), key=PAGE)
        else:
            st.caption(count, width="content")
