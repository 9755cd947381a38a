"""The same in a browser: a small server of a library, and its page."""
