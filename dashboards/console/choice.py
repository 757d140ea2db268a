"""What a page is about, chosen in a box and named by the page's address."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import streamlit as st


def choice(
    label: str,
    options: Sequence[str],
    key: str,
    shown: Callable[[str], str] = str,
    width: int | Literal["stretch"] = "stretch",
) -> str:
    """One of `options`: what the address names as `key`, else what was chosen on another page, else the first.

    The address follows the choice, so that it can be sent to somebody else.
    """
    kept = f"last {key}"

    def keep() -> None:
        st.session_state[kept] = st.query_params[key] = st.session_state[key]

    asked = st.query_params.get(key, st.session_state.get(kept))
    # Of a box that another page had under this key Streamlit keeps the name and forgets the choice: so it is set each time.
    st.session_state[key] = asked if asked in options else options[0]
    chosen = st.selectbox(
        label, options, format_func=shown, key=key, on_change=keep, label_visibility="collapsed", width=width
    )
    st.session_state[kept] = chosen
    if st.query_params.get(key) != chosen:
        st.query_params[key] = chosen
    return chosen
