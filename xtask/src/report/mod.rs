//! Reporters: they turn events into what people and programs read, and decide nothing.
