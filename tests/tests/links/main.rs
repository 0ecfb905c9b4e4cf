//! Signed links of other formats than Azion's, and links that nginx makes.

mod akamai;
mod bunny;
mod cloudfront;
mod covers;
mod google;
mod hash;
mod made;
mod mint;
mod mistakes;
mod variables;
