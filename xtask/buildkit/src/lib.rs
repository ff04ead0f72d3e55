//! BuildKit builds with a session of our own.
