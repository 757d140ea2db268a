"""`recwatch coverage`: one page of a server → what can be known of it, for people and for programs."""
