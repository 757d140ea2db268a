"""The console: a Streamlit page over the API. It turns incidents and proposals into something to look at and to decide."""
