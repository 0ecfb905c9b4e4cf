//! Playlists that carry a request's token or link on to what they list (`secure_token_forward`). Which
//! arguments these are, the checks say.

mod answer;
pub(crate) mod directives;
mod settings;

pub(crate) use settings::PlaylistConf;
