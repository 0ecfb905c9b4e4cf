//! Claims, and rules on them.
