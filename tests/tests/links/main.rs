//! Signed links of other formats than Azion's, and links that nginx makes.

mod hash;
mod mint;
mod mistakes;
mod variables;
