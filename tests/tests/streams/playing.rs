//! ffmpeg plays whole streams.
